"""Compiled kernels: arrays, rows and thresholds, nothing of networks but the sparse Jacobian.

Import the public names from :mod:`sltrees`; from other compiled code, ``cimport`` the ``.pxd`` files beside this one.
"""

try:
    from sltrees._core._sum_tree import SumTree
    from sltrees._core._threshold_tree import ThresholdTree
    from sltrees._core._tree_bank import TreeBank
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("sltrees._core."):
        raise
    # as a rule a clone that hides what was installed, since Python looks in the folder where it is started first
    raise ImportError(
        f"{__path__[0]} has no modules compiled for this Python: start it in another folder to use the sltrees that is "
        "installed, or build this one in place with 'pip install -e .'"
    ) from None

__all__ = ["SumTree", "ThresholdTree", "TreeBank"]
