"""
Alerts that do not flutter
==========================

Two thousand servers report their load. With one threshold, those that are near it raise an alert and withdraw it again
and again. A `Watch` has two: an alert begins above the upper one, and ends below the lower one.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import ThresholdTree, Watch

rng = np.random.default_rng(0)
n_servers, n_steps = 2000, 300
mean = rng.uniform(0.3, 0.8, n_servers)
load = ThresholdTree(mean.copy())

# %%
# A watch looks at the tree when it is asked, so there may be many on one tree, and whoever writes to it knows of none.

one, two = Watch(load, 0.9), Watch(load, high=0.9, low=0.7)
followed = int(np.argmax(mean))
alerts, trace, inside = {"one threshold": [], "two thresholds": []}, [], {"one threshold": [], "two thresholds": []}
level = mean.copy()
for step in range(n_steps):
    level += 0.2 * (mean - level) + rng.normal(0.0, 0.05, n_servers) + 0.03 * (100 <= step < 150)
    load[:] = level
    for name, watch in zip(alerts, (one, two), strict=True):
        entered, _ = watch.events()
        alerts[name].append(entered.size)
        inside[name].append(followed in watch.inside)
    trace.append(load[followed])

print({name: sum(counts) for name, counts in alerts.items()}, "alerts")

fig, (top, bottom) = plt.subplots(2, sharex=True, figsize=(7, 4.5), layout="constrained")
top.plot(trace, color="0.3", linewidth=1, label=f"server {followed}")
for y, color in ((0.9, "C3"), (0.7, "C0")):
    top.axhline(y, color=color, linewidth=1)
for offset, (name, where) in enumerate(inside.items()):
    top.fill_between(
        range(n_steps), 0.4 + 0.05 * offset, 0.44 + 0.05 * offset, where=where, step="mid", color=f"C{offset + 1}"
    )
    top.text(n_steps, 0.4 + 0.05 * offset, f" {name}", color=f"C{offset + 1}", fontsize=8)
top.set(ylabel="load", ylim=(0.38, None))
top.legend(loc="upper right")
for number, (name, counts) in enumerate(alerts.items()):
    bottom.plot(np.cumsum(counts), color=f"C{number + 1}", label=name)
bottom.set(xlabel="step", ylabel="alerts so far")
bottom.legend()
plt.show()
