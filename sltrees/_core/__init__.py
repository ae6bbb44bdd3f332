"""Compiled kernels: arrays, rows and thresholds, nothing of networks but the sparse Jacobian.

Import the public names from :mod:`sltrees`; from other compiled code, ``cimport`` the ``.pxd`` files beside this one.
"""

from sltrees._core._threshold_tree import ThresholdTree
from sltrees._core._tree_bank import TreeBank

__all__ = ["ThresholdTree", "TreeBank"]
