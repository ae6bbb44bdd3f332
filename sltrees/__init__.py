"""Threshold trees, and Newton-type training of wide two-layer networks above them."""
from sltrees._core import ThresholdTree
