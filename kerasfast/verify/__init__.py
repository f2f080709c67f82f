"""Parity certificates: what was proven of a network against its reference, and the checks that anyone can repeat.

`zoo/parity/<architecture>.<family>.json` is written by `tools/make_parity.py`, which runs the network and the PyTorch
reference on the same frames with the same seeded weights. It holds the largest difference at every stage, and a few of
the reference's activations on a tiny clip. `check_graph` computes these again, without torch; `check_file` reads the
real published file, which nobody needs to trust for that.
"""

from kerasfast.verify.certificates import Certificate as Certificate
from kerasfast.verify.certificates import find_certificate as find_certificate
from kerasfast.verify.files import FileCheck as FileCheck
from kerasfast.verify.files import check_file as check_file
from kerasfast.verify.graph import Stage as Stage
from kerasfast.verify.graph import check_graph as check_graph

__all__ = ["Certificate", "FileCheck", "Stage", "check_file", "check_graph", "find_certificate"]
