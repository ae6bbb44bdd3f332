r"""
Cost of an iteration against the width
======================================

Dense training reads each of m neurons for each of n samples. Here an iteration reads those that may have changed the
set of samples on which they fire. How fast does its cost grow with m, and that of the whole run?
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.plotting import fit_exponent, plot_scaling

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 16))
X /= np.linalg.norm(X, axis=1, keepdims=True)
y = np.sign(X[:, 0] * X[:, 1])

# %%
# Four iterations at each width. Seconds depend on the machine and on what else it does, so we count, too: neurons
# visited, which are the same everywhere.

widths = 2 ** np.arange(12, 21)
counts = {name: [] for name in ("iteration", "set-up", "visited neurons", "fired pairs")}
for width in widths:
    network = ShiftedReLUNetwork(width, random_state=0)
    result = NewtonTrainer(network, tol=0.0, max_iter=4).fit(X, y)
    history = result.history
    counts["iteration"].append(np.mean([sum(record.seconds.values()) for record in history]))
    counts["set-up"].append(result.seconds_setup)
    counts["visited neurons"].append(np.mean([record.visited_neurons for record in history]))
    counts["fired pairs"].append(history[0].fired_pairs)

# %%
# On logarithmic scales the curves of seconds bend upwards, because a narrow network pays mostly for what does not
# depend on the width. So the exponent of the largest widths says more about still larger ones than that of all.

print(f"{'exponent over':>16}  all widths  from 2^17 on")
for name, numbers in counts.items():
    whole, large = fit_exponent(widths, numbers)[0], fit_exponent(widths[-4:], numbers[-4:])[0]
    print(f"{name:>16}  {whole:10.2f}  {large:12.2f}")

# %%
# With the shift "auto" a sample fires :math:`2 \sqrt{m}` neurons, so the fired pairs grow with the exponent 1/2. The
# neurons that fire at all grow faster at first, as long as most of them fire on several samples.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.loglog(widths, widths * len(X), "--", color="0.5", label="all pairs (dashed: what dense training reads)")
left.loglog(widths, counts["fired pairs"], "o-", label="pairs that fire")
left.loglog(widths, counts["visited neurons"], "s-", label="neurons visited per iteration")
left.set(xlabel="width (neurons)", ylabel="number")
left.legend(fontsize="small")
for name in ("iteration", "set-up"):
    plot_scaling(widths[-4:], counts[name][-4:], right, label=name)
    right.plot(widths[:-4], counts[name][:-4], ".", color="0.6")
right.legend(fontsize="x-small")
plt.show()
