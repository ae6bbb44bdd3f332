"""
Replaying in proportion to errors
=================================

A model learns from a buffer of 20,000 samples, 32 at a time. Most samples are easy; a few come from a rare situation,
and chance seldom draws them. A `PrioritizedSampler` draws in proportion to the last known errors, while they change,
and gives the weights that undo the bias.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import PrioritizedSampler

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
# New samples get the largest priority that there is, so that all are seen. ``sample`` gives slots, and importance
# weights of at most 1; after a step the errors of the batch are written back. With ``alpha=0`` all samples are alike.


def learn(alpha):
    """Stochastic gradient descent; the error in the rare situation after each step, and how often each was drawn."""
    rng = np.random.default_rng(1)
    weights, errors, drawn = np.zeros(d), [], np.zeros(n)
    sampler = PrioritizedSampler(n, alpha=alpha, beta=0.4)
    sampler.add(n)
    for _ in range(n_steps):
        slots, importance = sampler.sample(batch, rng, stratified=True)
        residual = X[slots] @ weights - y[slots]
        weights -= 0.05 * (importance * residual) @ X[slots] / batch
        sampler.update(slots, np.abs(residual))
        errors.append(squared_error(weights))
        drawn[slots] += 1
    return errors, drawn


alike, _ = learn(alpha=0.0)
replayed, drawn = learn(alpha=0.6)
print(
    f"Share of the rare samples in the buffer {rare.mean():.1%}, among the draws {drawn[rare].sum() / drawn.sum():.1%}"
)

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.semilogy(alike, label="all samples alike")
ax.semilogy(replayed, label="in proportion to errors")
ax.set(xlabel="step", ylabel="squared error, rare situation")
ax.legend()
plt.show()
