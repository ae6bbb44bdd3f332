"""Estimators with the conventions of scikit-learn, for tables. They need the extra "sklearn"."""

try:
    from sklearn.base import BaseEstimator  # noqa: F401
    from sklearn.utils.validation import validate_data  # noqa: F401 - of version 1.6
except ImportError as error:
    raise ImportError('the estimators need scikit-learn 1.6 or newer: pip install -e ".[sklearn]"') from error

from sltrees.estimators.classifier import NewtonClassifier
from sltrees.estimators.frame_encoder import FrameEncoder
from sltrees.estimators.model_search import SearchWarning
from sltrees.estimators.regressor import NewtonRegressor

__all__ = ["FrameEncoder", "NewtonClassifier", "NewtonRegressor", "SearchWarning"]
