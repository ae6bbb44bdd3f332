"""Models of other packages (lightgbm of the extra "bench", xrfm), for comparisons of estimators."""

import numpy as np


def make_lightgbm(classes):
    """A model of LightGBM at its defaults, for labels or numbers."""
    import lightgbm

    return (lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor)(random_state=0, verbose=-1)


class XRFM:
    """xRFM with the interface of the others. It wants a validation set: a fifth of the rows, drawn with seed 0.

    Parameters
    ----------
    classes : bool
        Whether targets are labels.
    """

    def __init__(self, classes):
        self.classes = classes

    def fit(self, X, y):
        """Learn."""
        from sklearn.preprocessing import StandardScaler
        from xrfm import xRFM

        self.scaler = StandardScaler().fit(X)
        X, cut = self.scaler.transform(X).astype(np.float32), len(y) // 5
        if self.classes:
            self.labels, y = np.unique(y, return_inverse=True)
        else:
            self.of_targets = StandardScaler().fit(y.reshape(len(y), -1))
            self.shape, y = y.shape[1:], self.of_targets.transform(y.reshape(len(y), -1))
        y = y.astype(np.int64 if self.classes else np.float32)
        order = np.random.default_rng(0).permutation(len(y))
        held_out, seen = order[:cut], order[cut:]
        self.model = xRFM(device="cpu", tuning_metric="accuracy" if self.classes else "mse", verbose=False)
        self.model.fit(X[seen], y[seen], X[held_out], y[held_out])
        return self

    def predict(self, X):
        """Labels or numbers."""
        found = np.asarray(self.model.predict(self.scaler.transform(X).astype(np.float32)))
        if self.classes:
            return self.labels[found.ravel().astype(int)]
        return self.of_targets.inverse_transform(found.reshape(len(X), -1)).reshape(len(X), *self.shape)
