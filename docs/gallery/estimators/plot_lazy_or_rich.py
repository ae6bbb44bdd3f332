"""
Lazy or rich: what do neurons learn?
====================================

In a very wide network weights hardly move, and what it learns is a kernel: *lazy*. Targets that are multiplied by
``target_scale`` make weights move as far as they are long: the network learns features, it is *rich*. Here the target
depends on one direction in the plane, and one sees the neurons find it.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.estimators import NewtonRegressor
from sltrees.preprocessing import InputScaling

rng = np.random.default_rng(0)
direction = np.array([0.8, 0.6])


def samples(n, d):
    """Normal numbers, and a target that depends on a direction in the plane of the first two."""
    X = rng.standard_normal((n, d))
    return X, np.maximum(X[:, :2] @ direction, 0.0)


# %%
# Both networks begin with the same weights. A result tells whether its run was lazy.

X, y = samples(300, 2)
rows, y = InputScaling().fit(X).transform(X), y - y.mean()
clouds = {}
for name, scale in (("lazy", 0.1), ("rich", 30.0)):
    network = ShiftedReLUNetwork(1024, shift=0.0, dtype="float64", random_state=0).initialize(rows)
    clouds["at the start"] = network.dense_weights()[0][:, :2].copy()
    result = NewtonTrainer(network, alpha=1e-3, max_iter=40).fit(rows, scale * y)
    clouds[f"{name}: target_scale {scale:g}"] = network.dense_weights()[0][:, :2].copy()
    print(f"{name}: weights moved by {result.laziness.move_rms:.2f} of their length; lazy: {result.laziness.is_lazy}")

# %%
# How much that is worth on new samples depends on the data. Eight features: where the target depends on one direction,
# the rich network leaves a seventh of the error of the lazy one; where it depends a little on everything, there is
# little to find.

scales, scores = [0.25, 1.0, 4.0, 16.0], {}
for name in ("one direction", "all features"):
    (X, y), (X_test, y_test) = samples(250, 8), samples(1000, 8)
    if name == "all features":
        y, y_test = np.sin(X).sum(axis=1), np.sin(X_test).sum(axis=1)
    options = {"model": "network", "width": 512, "alpha": 0.01, "max_iter": 20, "random_state": 0}
    models = [NewtonRegressor(target_scale=scale, **options) for scale in scales]
    kernel = NewtonRegressor(model="kernel", feature_learning=False)
    scores[name] = [model.fit(X, y).score(X_test, y_test) for model in (*models, kernel)]

# %%
# Above: weights of all neurons, in the plane; the line is the direction. Below: dashed is the kernel, with the features
# as they are.

fig, axes = plt.subplot_mosaic([[*clouds], ["scores"] * 3], figsize=(9, 6), layout="constrained")
for name, cloud in clouds.items():
    ax, reach = axes[name], np.abs(cloud).max()
    ax.axline((0, 0), direction, color="C3", linewidth=1)
    ax.plot(*cloud.T, ".", markersize=3, color="C0")
    ax.set(title=name, aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xlabel="first feature")
axes["at the start"].set_ylabel("second feature")
for name, found in scores.items():
    (line,) = axes["scores"].semilogx(scales, found[:-1], "o-", base=4, label=name)
    axes["scores"].axhline(found[-1], color=line.get_color(), linestyle="--", linewidth=1)
axes["scores"].set(xlabel="target_scale (right: rich)", ylabel="R² on new samples", xticks=scales, xticklabels=scales)
axes["scores"].legend()
plt.show()
