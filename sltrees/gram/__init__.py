"""The Gram matrix of the neurons that fire, and solving with it."""

from sltrees.gram.matrix import GramMatrix

__all__ = ["GramMatrix"]
