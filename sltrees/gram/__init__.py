"""The Gram matrix of the neurons that fire, and solving with it: what every way of holding it has is in `protocol`."""

from sltrees.gram.matrix import FactorState, GramMatrix  # noqa: F401 - pickles of earlier versions find it here
from sltrees.gram.matrix_free import MatrixFreeGram
from sltrees.gram.preconditioned import PreconditionedGram
from sltrees.gram.sketched import SketchedGram

__all__ = ["HELD_AS", "GramMatrix", "MatrixFreeGram", "PreconditionedGram", "SketchedGram"]

# By the names that checkpoints have for them.
HELD_AS = {
    "array": GramMatrix,
    "preconditioned": PreconditionedGram,
    "products": MatrixFreeGram,
    "sketch": SketchedGram,
}
