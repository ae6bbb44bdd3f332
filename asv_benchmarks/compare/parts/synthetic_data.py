"""Data made by a formula, for benchmarks that need more samples or features than the digits have."""

import numpy as np


def gaussian_directions(n=1000, d=64, *, smooth=False):
    """Unit rows in random directions; targets a smooth function of them, or by default its sign."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    u, v, w = rng.standard_normal((3, d)) @ X.T
    y = np.sin(2.0 * u) + v * w
    return X, y if smooth else np.where(y >= 0, 1.0, -1.0)
