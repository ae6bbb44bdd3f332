"""
Which units are active
======================

A layer of 20,000 units with a high threshold: each input makes a few of them active, and the most active one learns.
**The question:** does that need the product of each input with all units? **The finding:** no. `CorrelationTrees` holds
the products of all weights with all inputs, and keeps up with one unit that changes; asking it and writing the unit
take a fraction of the time of the product, and the answers are the same.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from sltrees import CorrelationTrees

rng = np.random.default_rng(0)
n_units, n_inputs, d, threshold = 20_000, 300, 64, 3.0
inputs = rng.standard_normal((n_inputs, d), dtype=np.float32)
inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
weights = rng.standard_normal((n_units, d), dtype=np.float32)

# %%
# With ``axis="weights"`` there is a tree for each input, over the units. ``query_all`` gives the active pairs as a
# sparse matrix, as if small activations had been set to zero.

trees = CorrelationTrees(weights, inputs, axis="weights")
active = trees.query_all(threshold)
print(f"{active.nnz:,} of {n_units * n_inputs:,} pairs are active, {active.nnz / (n_units * n_inputs):.2%}")
before = np.bincount(active.indices, minlength=n_units)

# %%
# **Competitive learning.** For each input the most active unit moves towards it. Its product with each input is written
# anew; all other units stay. Both parts are timed, beside the product that they save.

asked, written, dense = 0.0, 0.0, 0.0
order = rng.permutation(np.tile(np.arange(n_inputs), 4))
for i in order.tolist():
    begin = time.perf_counter()
    units, products = trees.query(i, threshold, return_values=True)
    if units.size == 0:  # none is active
        units, products = trees.query(i, 0.0, return_values=True)
    winner = int(units[np.argmax(products)])
    asked += time.perf_counter() - begin

    weights[winner] += 0.2 * (4.0 * inputs[i] - weights[winner])
    begin = time.perf_counter()
    trees.update_weight(winner, weights[winner])
    written += time.perf_counter() - begin

    begin = time.perf_counter()
    weights @ inputs[i]
    dense += time.perf_counter() - begin

names = ["asking the trees", "writing a unit", "dense product"]
microseconds = [1e6 * seconds / len(order) for seconds in (asked, written, dense)]
for name, each in zip(names, microseconds, strict=True):
    print(f"{name:>16}: {each:.0f} microseconds for each input")

# %%
# Units that win specialise: they become active on one input or a few. The answer is that of the dense product.

active = trees.query_all(threshold)
after = np.bincount(active.indices, minlength=n_units)
assert active.nnz == np.count_nonzero(trees.values > threshold)

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", width_ratios=[1.2, 1])
for numbers, style, label in ((before, "s--", "before learning (dashed)"), (after, "o-", "after")):
    left.semilogy(np.bincount(numbers, minlength=8)[:8], style, label=label)
left.set(xlabel="inputs on which a unit is active", ylabel="units")
left.legend()
right.barh(names, microseconds, color=["#0072B2", "#0072B2", "0.6"])
right.set(xlabel="microseconds for each input")
right.invert_yaxis()
plt.show()
