"""Trained networks for PyTorch (extra "torch") and as ONNX files (extra "onnx")."""

from sltrees.export.exports import to_onnx, to_torch

__all__ = ["to_onnx", "to_torch"]
