"""The kernel of the infinitely wide network, in compiled code and as a product with vectors."""

from sltrees.kernels.function import shifted_ntk

__all__ = ["shifted_ntk"]
