"""
Replaying what is predicted worst
=================================

A model learns from a buffer of 20,000 samples, 32 at a time. Most samples are easy; a few come from a rare situation,
and chance seldom draws them. A `ThresholdTree` over the last known errors finds the worst ones, while errors change.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import ThresholdTree

rng = np.random.default_rng(0)
n, d, n_steps, batch = 20_000, 10, 1500, 32
X = rng.standard_normal((n, d))
rare = rng.random(n) < 0.01
X[:, -1] *= rare  # the last feature says something in the rare situation only
y = X @ np.linspace(1.0, 3.0, d)


def squared_error(weights):
    """Mean squared error in the rare situation."""
    return np.mean((X[rare] @ weights - y[rare]) ** 2)


# %%
# Half of each batch is drawn from all samples, and the other half from those whose last known error exceeds a
# threshold: all alike, or, where too few do, the largest. After a step the errors of the batch are written back.


def learn(*, replay):
    """Stochastic gradient descent; the error in the rare situation after each step."""
    rng = np.random.default_rng(1)
    weights, errors = np.zeros(d), []
    error = ThresholdTree(np.full(n, 1e3))  # nobody has been seen yet: all count as bad
    for _ in range(n_steps):
        indices = rng.integers(0, n, batch)
        if replay:
            bad = error.query(0.5)
            indices[::2] = rng.choice(bad, batch // 2) if bad.size >= batch // 2 else error.topk(batch // 2)
        residual = X[indices] @ weights - y[indices]
        weights -= 0.02 * residual @ X[indices] / batch
        error.update_many(indices, np.abs(residual))
        errors.append(squared_error(weights))
    return errors


uniform, replayed = learn(replay=False), learn(replay=True)

# %%
# Draws by threshold are biased towards what is bad; where the model cannot fit everything, correct for that by weights.

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.semilogy(uniform, label="drawn from all samples alike")
ax.semilogy(replayed, label="half of them from the samples predicted worst")
ax.set(xlabel="step", ylabel="squared error, rare situation")
ax.legend()
plt.show()
