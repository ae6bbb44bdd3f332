"""Estimators with the conventions of scikit-learn, for tables. They need the extra "sklearn"."""

from sltrees.estimators.base import NewtonClassifier, NewtonRegressor

__all__ = ["NewtonClassifier", "NewtonRegressor"]
