"""Threshold trees, and wide two-layer networks trained by Newton steps whose cost grows slower than the width."""

from sltrees import _moved
from sltrees._core import ThresholdTree
from sltrees._versions import VERSION, show_versions
from sltrees.correlation_trees import CorrelationTrees
from sltrees.datasets import load_digits
from sltrees.kernels import shifted_ntk
from sltrees.network.network import ShiftedReLUNetwork
from sltrees.records import IterationRecord, TrainingResult, TrainingStatus
from sltrees.training.trainer import NewtonTrainer

__version__ = VERSION
_moved.install()

__all__ = [
    "CorrelationTrees",
    "IterationRecord",
    "NewtonTrainer",
    "ShiftedReLUNetwork",
    "ThresholdTree",
    "TrainingResult",
    "TrainingStatus",
    "load_digits",
    "shifted_ntk",
    "show_versions",
]
