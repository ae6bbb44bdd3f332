r"""
Newton steps by hand
====================

What does :class:`sltrees.NewtonTrainer` compute? Here is the same iteration in NumPy, one line for each formula, on a
network that is small enough to hold every array. At the end the weights are compared: they are equal, up to rounding.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork

rng = np.random.default_rng(0)
n, d, width, n_steps = 40, 3, 2048, 6
X = rng.standard_normal((n, d))
X /= np.linalg.norm(X, axis=1, keepdims=True)
y = np.sin(3.0 * X[:, 0]) * X[:, 1]

# %%
# **The network.** Weights W of shape (width, d), signs a, and a shift b, as they are drawn:
#
# .. math:: f(x) = \frac{1}{\sqrt{m}} \sum_{r} a_r \max(\langle w_r, x \rangle - b, 0)

network = ShiftedReLUNetwork(width, shift=1.0, dtype="float64", random_state=0).initialize(X)
(W, a), b = network.dense_weights(), network.shift_
W = W.copy()

# %%
# **One step.** Neurons that fire on both i and j make up the entry of the Gram matrix :math:`G = J J^T`. The system
# :math:`G g = e` has one unknown for each *sample*, however many neurons there are; each neuron then moves along the
# samples on which it fires.


def newton_step(W):
    """The weights after a step, the RMSE before it, and which neurons fire on which samples."""
    products = X @ W.T
    fires = products > b
    residual = np.maximum(products - b, 0.0) @ a / np.sqrt(width) - y
    G = (fires.astype(float) @ fires.T) * (X @ X.T) / width
    g = np.linalg.solve(G, residual)
    moved = W - (a[:, None] / np.sqrt(width)) * ((fires.T * g) @ X)
    return moved, np.sqrt(np.mean(residual**2)), fires


rmse, patterns = [], []
for _ in range(n_steps):
    W, error, fires = newton_step(W)
    rmse.append(error)
    patterns.append(fires)

# %%
# **The trainer** takes the same steps. It holds neither the products nor the weights of all neurons: it visits those
# that may have changed the samples on which they fire.

result = NewtonTrainer(network, tol=1e-300, max_iter=n_steps).fit(X, y)
difference = np.abs(network.dense_weights()[0] - W).max()
assert difference < 1e-12
print(f"largest difference between the weights: {difference:.1e}")

# %%
# **What there is to leave out.** After the first steps few pairs of a neuron and a sample begin or cease to fire, and
# the trainer looks at few neurons. As soon as none does, the network is linear in its weights along the step, and the
# step solves the problem.

steps = np.arange(1, n_steps)
flips = [np.count_nonzero(after != before) for before, after in itertools.pairwise(patterns)]
visited = [record.visited_neurons for record in result.history]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.semilogy(range(n_steps), rmse, "o-", label="by hand")
left.semilogy(range(n_steps), [record.rmse for record in result.history], "x", markersize=9, label="NewtonTrainer")
left.set(xlabel="steps taken", ylabel="training RMSE")
left.legend()
right.semilogy(steps, np.maximum(flips, 0.5), "s-", color="C1", label="pairs that begin or cease to fire")
right.semilogy(range(1, n_steps + 1), np.maximum(visited, 0.5), "o-", color="C0", label="neurons visited")
right.axhline(width, color="0.5", linestyle="--", label="all neurons (dashed)")
right.set(xlabel="step", ylabel="number (0 at the bottom)")
right.legend(loc="lower left")
plt.show()
