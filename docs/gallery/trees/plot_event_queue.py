"""
An event queue whose times change
=================================

Fifty machines have a time at which each of them will fail. Inspections postpone failures of machines that are not at
the head of the queue, which a heap cannot do in place; a `ThresholdTree` with ``orientation="min"`` can.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import ThresholdTree

rng = np.random.default_rng(0)
n_machines, last_day = 50, 30.0
failure = ThresholdTree(rng.exponential(10.0, n_machines), orientation="min")

# %%
# In a min-tree "above" turns into "below": ``pop_above(now)`` takes out all events that are due before `now`, and
# leaves infinity in their places. Every half a day one machine is inspected, and gets five more days.

failures, inspections = [], []
for now in np.arange(0.5, last_day + 0.5, 0.5):
    machines, times = failure.pop_above(now)
    failures += zip(times, machines, strict=True)
    failure.update_many(machines, now + rng.exponential(10.0, len(machines)))  # repaired: the next failure
    inspected = rng.integers(n_machines)
    failure.add(inspected, 5.0)
    inspections.append((now, inspected))

# %%
# The next event, without taking it out:

print(f"machine {failure.argmax()} fails next, on day {failure.max():.2f}")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(*zip(*failures, strict=True), "x", color="C3", label="failure, repaired")
ax.plot(*zip(*inspections, strict=True), ".", color="C0", label="inspection: five more days")
later = failure.values < 45.0
ax.plot(failure.values[later], np.flatnonzero(later), "o", mfc="none", color="C2", label="scheduled failure")
ax.axvline(last_day, color="0.5", linewidth=1)
ax.set(xlabel="day", ylabel="machine")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=3, frameon=False)
plt.show()
