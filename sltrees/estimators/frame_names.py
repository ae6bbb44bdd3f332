"""Names of the columns of frames, for versions of scikit-learn that do not read them by themselves."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.utils.fixes import parse_version

# Before it names are those of pandas, and of frames with the interchange protocol, which polars 2 no longer has.
KNOWS_ALL_FRAMES = parse_version(sklearn.__version__) >= parse_version("1.9.dev0")


def with_names(X):
    """X, or, if it is a frame whose names scikit-learn would not see, what shows them to it. Cost: O(1)."""
    is_known = not hasattr(X, "get_column") or hasattr(X, "__dataframe__")
    return X if KNOWS_ALL_FRAMES or is_known else _Frame(X)


class _Frame:
    """What scikit-learn looks at of a frame: names by the interchange protocol, values as an array."""

    def __init__(self, X):
        self._X, self.shape = X, X.shape

    def __len__(self):
        return self.shape[0]

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self

    def column_names(self):
        return list(self._X.columns)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._X.to_numpy(), dtype=dtype)
