"""
Learning digits with Newton steps
=================================

A network of 131,072 neurons learns to tell even from odd handwritten digits. A Gauss-Newton step takes all neurons into
account, but few of them have to be looked at.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork, load_digits
from sltrees.plotting import plot_convergence, plot_firing_pattern
from sltrees.preprocessing import InputScaling

X, digit = load_digits()
y = np.where(digit % 2 == 0, 1.0, -1.0)
order = np.random.default_rng(0).permutation(len(X))
train, test = order[:600], order[600:]
scaling = InputScaling(bias=0.0).fit(X[train])

# %%
# Rows are brought to unit norm, as the shift of the neurons expects. A step leaves about
# a tenth of the error, and later ones less.

network = ShiftedReLUNetwork(2**17, random_state=0)
trainer = NewtonTrainer(network, tol=1e-6)
result = trainer.fit(scaling.transform(X[train]), y[train])
guess = np.sign(network.predict(scaling.transform(X[test])))
print(f"{result.status} after {result.n_iter} steps; test accuracy {np.mean(guess == y[test]):.3f}")

# %%
# The table says where time went, and how many neurons each step looked at.

print(result.cost_table())

# %%
# On the right: on which samples some of the neurons fire.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
plot_convergence(result, left)
plot_firing_pattern(network, scaling.transform(X[train][:150]), right, max_neurons=100)
plt.show()
