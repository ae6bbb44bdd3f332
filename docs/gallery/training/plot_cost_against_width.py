r"""
Cost of an iteration against the width
======================================

Dense training reads each of m neurons for each of n samples. Here an iteration reads those that may have changed the
set of samples on which they fire. How fast does its cost grow with m?
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
seconds, visited, fired = [], [], []
for width in widths:
    network = ShiftedReLUNetwork(width, random_state=0)
    result = NewtonTrainer(network, tol=0.0, max_iter=4).fit(X, y)
    history = result.history
    seconds.append(np.mean([sum(record.seconds.values()) for record in history]))
    visited.append(np.mean([record.visited_neurons for record in history]))
    fired.append(history[0].fired_pairs)

for name, numbers in (("visited neurons", visited), ("fired pairs", fired), ("seconds", seconds)):
    print(f"{name:>16} grow as width to the power {fit_exponent(widths, numbers)[0]:.2f}")

# %%
# With the shift "auto" a sample fires :math:`2 \sqrt{m}` neurons, so the fired pairs grow with the exponent 1/2. The
# neurons that fire at all grow faster at first, as long as most of them fire on several samples.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.loglog(widths, widths * len(X), "--", color="0.5", label="all pairs")
left.loglog(widths, fired, "o-", label="pairs that fire")
left.loglog(widths, visited, "s-", label="neurons visited per iteration")
left.set(xlabel="width")
left.legend()
plot_scaling(widths, seconds, right, label="iteration")
plt.show()
