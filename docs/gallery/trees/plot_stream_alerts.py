"""
Alerts on a stream
==================

Ten thousand sensors send readings in batches. After each batch we want to know who crossed the limit, in either
direction, and how many are above it, without looking at all ten thousand.
"""

import matplotlib.pyplot as plt
import numpy as np

from sltrees import ThresholdTree

rng = np.random.default_rng(0)
n_sensors, n_batches, batch = 10_000, 400, 250
level = rng.normal(0.0, 0.15, n_sensors)  # where each sensor has its mean
limit = 0.9

# %%
# A `ThresholdTree` holds the last reading of each sensor. ``update_many`` writes a batch, and with ``crossing`` reports
# exactly the sensors that were below the limit and now are above it, and the other way round: nobody is told twice.
# Between batches 150 and 250 a hundred sensors are heated.

last = ThresholdTree(np.zeros(n_sensors, dtype=np.float32))
heated = rng.choice(n_sensors, 100, replace=False)
alarms, all_clear, above = [], [], []
for step in range(n_batches):
    who = rng.choice(n_sensors, batch, replace=False)
    reading = level[who] + rng.normal(0.0, 0.2, batch)
    if 150 <= step < 250:
        reading[np.isin(who, heated)] += 0.8
    entered, left = last.update_many(who, reading, crossing=limit)
    alarms.append(len(entered))
    all_clear.append(len(left))
    above.append(last.count(limit))

# %%
# What the tree says is what a scan of all readings says.

assert np.array_equal(last.query(limit), np.flatnonzero(last.values > np.float32(limit)))
assert above[-1] == sum(alarms) - sum(all_clear)

fig, (top, bottom) = plt.subplots(2, sharex=True, figsize=(7, 4.5), layout="constrained")
top.plot(above, color="C3")
top.axvspan(150, 250, color="0.9", zorder=0)
top.set_ylabel("sensors above the limit")
bottom.bar(range(n_batches), alarms, width=1.0, color="C1", label="crossed upwards")
bottom.bar(range(n_batches), -np.array(all_clear), width=1.0, color="C0", label="crossed downwards")
bottom.axvspan(150, 250, color="0.9", zorder=0)
bottom.set(xlabel="batch", ylabel="alerts")
bottom.legend(loc="upper left")
plt.show()
