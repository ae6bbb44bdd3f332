"""Threshold trees, exact Gauss-Newton training of very wide two-layer networks, estimators for tables."""

import importlib

from sltrees import _moved

TYPE_CHECKING = False  # type checkers take it for true

# Public names and modules are imported when they are first asked for (PEP 562). Who uses threshold trees alone does not
# wait for SciPy, whose import takes longer than all else here. Modules themselves import at their top what they need:
# no computation ever waits for an import.
if TYPE_CHECKING:
    from sltrees._core import SumTree, ThresholdTree
    from sltrees._versions import show_versions
    from sltrees.datasets import load_digits
    from sltrees.kernels import shifted_ntk
    from sltrees.network.network import ShiftedReLUNetwork
    from sltrees.records import IterationRecord, Laziness, TrainingResult, TrainingStatus
    from sltrees.training.softmax import SoftmaxTrainer
    from sltrees.training.trainer import NewtonTrainer
    from sltrees.trees.correlation_trees import CorrelationTrees
    from sltrees.trees.integer_tree import IntegerTree
    from sltrees.trees.prioritized_sampler import PrioritizedSampler
    from sltrees.trees.threshold_map import ThresholdMap
    from sltrees.trees.vector_search import VectorSearch
    from sltrees.trees.watch import Watch
    from sltrees.trees.window import ThresholdWindow

    __version__: str
else:
    _HOMES = {
        "CorrelationTrees": "sltrees.trees.correlation_trees",
        "IntegerTree": "sltrees.trees.integer_tree",
        "IterationRecord": "sltrees.records",
        "Laziness": "sltrees.records",
        "NewtonTrainer": "sltrees.training.trainer",
        "PrioritizedSampler": "sltrees.trees.prioritized_sampler",
        "ShiftedReLUNetwork": "sltrees.network.network",
        "SoftmaxTrainer": "sltrees.training.softmax",
        "SumTree": "sltrees._core",
        "ThresholdMap": "sltrees.trees.threshold_map",
        "ThresholdTree": "sltrees._core",
        "ThresholdWindow": "sltrees.trees.window",
        "TrainingResult": "sltrees.records",
        "TrainingStatus": "sltrees.records",
        "VectorSearch": "sltrees.trees.vector_search",
        "Watch": "sltrees.trees.watch",
        "load_digits": "sltrees.datasets",
        "shifted_ntk": "sltrees.kernels",
        "show_versions": "sltrees._versions",
    }
    # those that need no extra
    _MODULES = (
        "_core",
        "callbacks",
        "correlation_trees",
        "datasets",
        "export",
        "files",
        "gram",
        "kernels",
        "network",
        "plotting",
        "preprocessing",
        "records",
        "reference",
        "tables",
        "training",
        "trees",
    )

    def __getattr__(name):
        if name == "__version__":
            value = importlib.import_module("sltrees._versions").VERSION
        elif name in _HOMES:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        elif name in _MODULES:
            return importlib.import_module(f"sltrees.{name}")
        else:
            raise AttributeError(f"module 'sltrees' has no attribute {name!r}")
        globals()[name] = value  # the next time it is found at once
        return value

    def __dir__():
        return sorted({*globals(), *__all__, *_MODULES, "__version__"})


_moved.install()


__all__ = [
    "CorrelationTrees",
    "IntegerTree",
    "IterationRecord",
    "Laziness",
    "NewtonTrainer",
    "PrioritizedSampler",
    "ShiftedReLUNetwork",
    "SoftmaxTrainer",
    "SumTree",
    "ThresholdMap",
    "ThresholdTree",
    "ThresholdWindow",
    "TrainingResult",
    "TrainingStatus",
    "VectorSearch",
    "Watch",
    "load_digits",
    "shifted_ntk",
    "show_versions",
]
