"""
Early stopping, or a ridge?
===========================

Targets with noise: a network that is trained to the end learns the noise, too. One can stop early, by samples that are
not trained on, or by a rule of one's own; or regularise with a ridge. **The question:** what is gained by stopping, if
the ridge may be wrong by a factor of a thousand? **The finding:** stopping rescues a ridge that is too small, but not
one that is too large; the ridge of ``alpha="loo"`` needs neither luck nor samples that are set aside.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback

noise = 0.4
rng = np.random.default_rng(0)
X = rng.standard_normal((1200, 6))
X /= np.linalg.norm(X, axis=1, keepdims=True)
signal = np.sin(3.0 * X[:, 0]) + X[:, 1]
y = signal + noise * rng.standard_normal(len(X))
train, watch, test = slice(0, 200), slice(200, 400), slice(400, 1200)


# %%
# A callback sees each iteration, and ends training by returning a true value. This one has to know the noise, which one
# seldom does.
class StopAtNoise(Callback):
    """Stop when the training RMSE is that of the noise."""

    def on_iteration(self, trainer, record):
        """Compare."""
        return record.rmse < noise


# %%
# Three rules for each ridge. ``patience`` watches 200 samples of an ``eval_set``, and leaves the network as the best
# that it was. What counts is the error on 800 others, which no rule has seen: how far from the signal predictions are.


def error_after(alpha, watched=None, **options):
    """RMSE from the signal after training with a ridge, and the ridge."""
    network = ShiftedReLUNetwork(2**11, random_state=0)
    trainer = NewtonTrainer(network, alpha=alpha, tol=1e-4, max_iter=15, **options)
    trainer.fit(X[train], y[train], eval_set=watched)
    return np.sqrt(np.mean((network.predict(X[test]) - signal[test]) ** 2)), trainer.alpha_


alphas = np.logspace(-4, 1, 6)
rules = {
    "trained to the end": {},
    "stopped by a callback that knows the noise": {"callbacks": [StopAtNoise()]},
    "stopped by 200 more samples": {"patience": 3, "watched": (X[watch], y[watch])},
}
errors = {name: [error_after(alpha, **rule)[0] for alpha in alphas] for name, rule in rules.items()}
chosen_error, chosen = error_after("loo")
for name, found in errors.items():
    print(f"{name:>42}: {min(found):.3f} to {max(found):.3f}, by the ridge")
print(f"{'the ridge by leave-one-out, to the end':>42}: {chosen_error:.3f}, a ridge of {chosen:.3g}")

# %%
# To the left the ridge is too small, and stopping helps. To the right it is too large: there is nothing to stop.

fig, axes = plt.subplots(figsize=(6, 4.4), layout="constrained")
for (name, found), style in zip(errors.items(), ("s-", "^-", "o-"), strict=True):
    axes.semilogx(alphas, found, style, label=name)
axes.plot(chosen, chosen_error, "k*", markersize=14, label='alpha="loo", trained to the end')
axes.set(xlabel="ridge alpha", ylabel="RMSE from the signal, 800 new samples", title="Noise of 0.4, 200 samples")
axes.set_ylim(bottom=0)
axes.legend(fontsize="small")
plt.show()
