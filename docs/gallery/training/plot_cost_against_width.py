r"""
How much of a network does a step read?
=======================================

Dense training reads each of m neurons for each of n samples, in every step. Here a step reads those neurons that may
have changed the samples on which they fire. **The question:** if the network is 256 times as wide, how many times more
is read? **The finding:** some 40 times. Of a million neurons a step reads one in eight, once, and not for each sample.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.plotting import fit_exponent

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 16))
X /= np.linalg.norm(X, axis=1, keepdims=True)
y = np.sign(X[:, 0] * X[:, 1])

# %%
# Three steps at each width. We count instead of timing: a count is the same on every machine, however busy.

widths = 2 ** np.arange(12, 21)
counts = {"pairs that fire": [], "neurons that a step reads": []}
for width in widths:
    network = ShiftedReLUNetwork(width, random_state=0)
    history = NewtonTrainer(network, tol=0.0, max_iter=3).fit(X, y).history
    counts["pairs that fire"].append(history[0].fired_pairs)
    counts["neurons that a step reads"].append(np.mean([record.visited_neurons for record in history]))

# %%
# With the shift "auto" a sample fires some :math:`2 \sqrt{m}` neurons, so the pairs of a sample and a neuron that fires
# on it grow with the exponent 1/2. Neurons that fire at all grow faster at first, as long as most of them fire on
# several samples; so the exponent of the larger widths says more about still larger ones.

for name, numbers in counts.items():
    whole, large = fit_exponent(widths, numbers)[0], fit_exponent(widths[-4:], numbers[-4:])[0]
    print(f"{name:>26}: m^{whole:.2f}, from 2^17 neurons on m^{large:.2f}")

# %%
# The wider the network, the smaller the share of it that a step reads.

read = np.array(counts["neurons that a step reads"])
print(f"{widths[-1] / widths[0]:.0f} times as wide: {read[-1] / read[0]:.0f} times as much is read")

fig, axes = plt.subplots(figsize=(6, 4.4), layout="constrained")
axes.loglog(widths, widths * len(X), "k--")
axes.loglog(widths, counts["pairs that fire"], "o-", color="0.5")
axes.loglog(widths, read, "s-", color="#0072B2")
for text, k, at, place in (
    ("dashed: all pairs of a sample and a neuron,\nwhat dense training reads", 3, widths * len(X), (-20, 24)),
    ("pairs that fire", 1, counts["pairs that fire"], (0, 14)),
    ("neurons that a step reads", 5, read, (10, -30)),
    (f"1 in {widths[0] / read[0]:.1f} neurons", 0, read, (2, -22)),
    (f"1 in {widths[-1] / read[-1]:.0f} neurons", 8, read, (-60, -26)),
):
    axes.annotate(text, (widths[k], at[k]), place, textcoords="offset points", ha="center" if 0 < k < 8 else "left")
axes.set(xlabel="width m (neurons)", ylabel="number", title="Three steps on 200 samples")
axes.set_xscale("log", base=2)
axes.set_ylim(bottom=700)
plt.show()
