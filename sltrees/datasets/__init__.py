"""Data that ships with the package."""

from sltrees.datasets._digits import load_digits

__all__ = ["load_digits"]
