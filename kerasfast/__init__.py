"""SlowFast video networks for Keras 3: load, fine-tune, evaluate and serve.

Importing this package imports neither TensorFlow nor torch; each public name loads its module on first use.
"""

__version__ = "0.1.0.dev0"
