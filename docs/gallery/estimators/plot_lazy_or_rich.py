"""
Lazy or rich
============

In a very wide network weights hardly move, and what it learns is a kernel. Targets that are multiplied by
``target_scale`` make weights move far: the network learns features. Which is better depends on the data.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees.estimators import NewtonRegressor

rng = np.random.default_rng(0)
X, X_test = rng.standard_normal((250, 8)), rng.standard_normal((1000, 8))


def ridge_function(X):
    """What depends on one direction alone: a feature to be found."""
    return np.maximum(X[:, 0] + X[:, 1], 0.0)


def smooth_function(X):
    """What depends a little on everything."""
    return np.sum(np.sin(X), axis=1)


# %%
# Without noise, and with: ridges are given, because leave-one-out errors of a linearised network mislead where it is
# rich.

targets = {"one direction": (ridge_function, 0.0), "one direction, noise": (ridge_function, 0.5)}
targets["all features"] = (smooth_function, 0.0)
scales = [0.25, 1.0, 4.0, 16.0]
scores, kernel_scores = {}, {}
for name, (function, noise) in targets.items():
    y = function(X) + noise * rng.standard_normal(len(X))
    kernel = NewtonRegressor(model="kernel").fit(X, y)
    kernel_scores[name] = kernel.score(X_test, function(X_test))
    scores[name] = []
    for scale in scales:
        model = NewtonRegressor(model="network", width=512, target_scale=scale, alpha=0.01, max_iter=20, random_state=0)
        scores[name].append(model.fit(X, y).score(X_test, function(X_test)))

# %%
# Dashed: the kernel, with the ridge that leave-one-out errors choose. ``model="auto"`` makes the comparison by
# cross-validation, ridges and widths included.

fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name in targets:
    (line,) = ax.semilogx(scales, scores[name], "o-", base=4, label=name)
    ax.axhline(kernel_scores[name], color=line.get_color(), linestyle="--", linewidth=1)
ax.set(xlabel="target_scale (right: rich)", ylabel="R² on new samples", xticks=scales, xticklabels=scales)
ax.legend()
plt.show()
