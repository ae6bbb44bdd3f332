"""
Which units are active
======================

A layer of 2,000 units with a high threshold: each input makes a few of them active. `CorrelationTrees` holds the
products of all weights with all inputs, and says which exceed the threshold while weights change, row by row.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import CorrelationTrees

rng = np.random.default_rng(0)
n_units, n_inputs, d, threshold = 2000, 300, 20, 2.5
inputs = rng.standard_normal((n_inputs, d))
inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
weights = rng.standard_normal((n_units, d))
trees = CorrelationTrees(weights, inputs)

# %%
# ``query_all`` gives the active pairs as a sparse matrix, as if small activations had been set to zero.

active = trees.query_all(threshold)
print(f"{active.nnz:,} of {n_units * n_inputs:,} pairs are active, {active.nnz / (n_units * n_inputs):.2%}")

# %%
# Competitive learning: for each input the most active unit moves towards it. One row of the forest is written each
# time, all others stay. Units that win specialise: fewer of them are active on many inputs.

before = np.diff(active.indptr)
for i in rng.permutation(np.tile(np.arange(n_inputs), 4)):
    products = weights @ inputs[i]
    winner = int(np.argmax(products))
    weights[winner] += 0.2 * (3.5 * inputs[i] - weights[winner])
    trees.update_weight(winner, weights[winner])
active = trees.query_all(threshold)
after = np.diff(active.indptr)
assert active.nnz == np.count_nonzero(weights @ inputs.T > threshold)

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained", width_ratios=[1, 1.2])
left.spy(active[:150], markersize=2, aspect="auto")
left.set(xlabel="input", ylabel="unit (first 150)")
right.hist([before, after], bins=np.arange(12) - 0.5, label=["before learning", "after"])
right.set(xlabel="inputs on which a unit is active", ylabel="units", yscale="log")
right.legend()
plt.show()
