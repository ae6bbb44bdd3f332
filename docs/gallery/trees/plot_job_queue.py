"""
An event queue by key
=====================

Jobs have names, and a time at which each is due. Times change while they wait, some jobs are withdrawn, and others
come: a `ThresholdMap` with ``orientation="min"`` is a queue in which all of that is one line.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import ThresholdMap

rng = np.random.default_rng(0)
due = ThresholdMap({f"job {j}": rng.exponential(20.0) for j in range(40)}, orientation="min")

# %%
# ``pop_above(now)`` takes out all that is due before `now`, the earliest first; in between jobs are put off by
# their name, withdrawn, or added. Slots of jobs that are gone are used again.

done, moved, withdrawn = [], [], []
n_jobs = len(due)
for now in np.arange(0.5, 40.0, 0.5):
    names, times = due.pop_above(now)
    done += zip(times, names, strict=True)
    waiting = list(due)  # in the order in which they are due
    if waiting and rng.random() < 0.3:
        name = waiting[rng.integers(len(waiting))]
        moved.append((now, name))
        due[name] += 10.0
    if len(waiting) > 1 and rng.random() < 0.1:
        withdrawn.append((now, waiting[-1]))
        del due[waiting[-1]]
    if rng.random() < 0.5:
        due[f"job {n_jobs}"] = now + rng.exponential(20.0)
        n_jobs += 1

name, time = due.peekitem()
print(f"{len(due)} jobs wait; {name} is next, at {time:.1f}")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")


def number(name):
    """Where a job is drawn."""
    return int(name.split()[1])


for events, marker, color, label in (
    (done, "o", "C2", "done"),
    (moved, ">", "C0", "put off by ten"),
    (withdrawn, "x", "C3", "withdrawn"),
    ([(time, name) for name, time in due.items()], ".", "0.6", "waiting, due then"),
):
    ax.plot([time for time, _ in events], [number(name) for _, name in events], marker, color=color, label=label)
ax.axvline(39.5, color="0.5", linewidth=1)
ax.set(xlabel="time", ylabel="job", xlim=(0, 80))
ax.legend()
plt.show()
