"""
Samples that join
=================

Data come in portions. ``NewtonTrainer.extend`` gives the network the neurons that new samples need, and goes on from
the weights as they are; before training it has the law that it would have had with all samples from the start.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork

rng = np.random.default_rng(0)


def draw(n):
    """Samples of unit norm, and their targets."""
    X = rng.standard_normal((n, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, np.sin(4.0 * X[:, 0]) * X[:, 1] + 0.05 * rng.standard_normal(n)


X_test, y_test = draw(1000)
X, y = draw(50)
network = ShiftedReLUNetwork(2**14, shift=1.5, random_state=0)
trainer = NewtonTrainer(network, alpha=1e-2, tol=1e-4)

# %%
# Each portion brings neurons that fire on its samples and on none before.

results = [trainer.fit(X, y)]
n_samples, neurons, errors = [50], [], []
for portion in [0, *[50] * 7]:
    if portion:
        results.append(trainer.extend(*draw(portion)))
        n_samples.append(n_samples[-1] + portion)
    neurons.append(network.neurons_.size)
    errors.append(np.sqrt(np.mean((network.predict(X_test) - y_test) ** 2)))
print("iterations after each portion:", *[result.n_iter for result in results])

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.plot(n_samples, errors, "o-")
left.axhline(0.05, color="0.5", linestyle="--", label="noise")
left.set(xlabel="samples so far", ylabel="RMSE on new samples", ylim=(0, None))
left.legend()
right.plot(n_samples, neurons, "s-", color="C1")
right.axhline(network.width, color="0.5", linestyle="--", label="width")
right.set(xlabel="samples so far", ylabel="neurons that fire on any", ylim=(0, None))
right.legend()
plt.show()
