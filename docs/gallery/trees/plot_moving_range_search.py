"""
Who comes near whom, as all of them move
========================================

Three thousand birds fly in a square. In each step all move a little, and each turns to where its neighbours fly: those
within a radius of it. A `VectorSearch` is asked who these are, and told where all of them are now; there is no index to
build anew. Answers are exact, as if all nine million pairs had been compared in float64.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import VectorSearch

rng = np.random.default_rng(0)
n_birds, radius, n_steps = 3000, 0.05, 60
place, angle = rng.random((n_birds, 2)), rng.uniform(-np.pi, np.pi, n_birds)
start = place.copy(), angle.copy()
search = VectorSearch(place, metric="euclidean")
order, met = [], []

# %%
# One call finds the neighbours of all, as a sparse matrix of distances; one call moves all.

for _ in range(n_steps):
    near = search.search(place, radius, inclusive=True)  # each has itself among its neighbours
    met.append(near.nnz - n_birds)
    near.data[:] = 1.0
    heading = near @ np.exp(1j * angle)
    angle = np.angle(heading) + rng.normal(0.0, 0.2, n_birds)
    place = np.clip(place + 0.004 * np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.0, 1.0)
    at_wall = ((place == 0.0) | (place == 1.0)).any(axis=1)
    angle[at_wall] += np.pi
    search.update(np.arange(n_birds), place)
    order.append(abs(np.exp(1j * angle).mean()))

# %%
# Some leave, and others come: ids of those that left are given again.

gone = np.flatnonzero(at_wall)
search.remove(gone)
print(len(search), "birds are left;", search.add(place[gone[::-1]]).size, "came back")

(ids,), (distances,) = search.nearest([[0.5, 0.5]], 5)
print("nearest to the middle:", dict(zip(ids.tolist(), distances.round(4).tolist(), strict=True)))

fig, (left, right, below) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for axes, (where, direction), title in ((left, start, "at first"), (right, (place, angle), f"after {n_steps} steps")):
    axes.quiver(*where.T, np.cos(direction), np.sin(direction), direction, cmap="twilight", scale=60, width=0.003)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")
right.add_patch(plt.Circle((0.5, 0.5), radius, fill=False, color="C3"))
right.plot(*place[ids].T, "o", color="C3", markersize=3)
below.plot(met, color="C0")
below.set(xlabel="step", ylabel="pairs within the radius", ylim=(0, None))
below.twinx().plot(order, color="C1")
below.set_title("pairs (blue), length of the mean direction (orange)", fontsize=8)
plt.show()
