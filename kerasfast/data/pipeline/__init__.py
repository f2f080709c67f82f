"""Records to tf.data: which clips come when, what is cut from them, and how they are augmented."""
