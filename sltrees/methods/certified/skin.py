"""The skin of near lists, method "certified": how far around a neuron samples are listed, chosen by what it costs."""

from __future__ import annotations

import numpy as np

# Near lists hold the samples nearer than the skin to a neuron, or beyond. A larger one means longer lists, a smaller
# one that more neurons leave theirs: it is chosen of these, in units of the initial weights (N(0, 1)).
SKINS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# Nanoseconds for an entry of a near list, mostly for memory touched for the first time; for each sample when a list is
# rebuilt, and for each number of it (both twice, as neurons that stray do so again). Only the ratios matter.
ENTRY_COST, SAMPLE_COST, NUMBER_COST = 9.5, 1.0, 0.02


def strayed_share(network, planes, y, skin):
    """Share of the materialised neurons that are expected to move farther than a skin.

    Where samples on which a neuron fires are alike and have the same target, it moves as if it fired on one of them. By
    r with r^2 = |y|^2 / (m sum_i p_i mean_i p_i |x_i|^2) in the mean then, as all of the loss goes, and beyond s with
    probability exp(-s^2 / r^2).

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
    y : ndarray of shape (n,)
    skin : float

    Returns
    -------
    float

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.eye(4), shift=1.0)
    >>> strayed_share(ShiftedReLUNetwork(10_000), planes, np.ones(4), skin=0.5) < 0.01
    True
    """
    squared = float(y @ y)
    if squared == 0:  # there is nothing to learn
        return 0.0
    energy = float(planes.firing @ planes.norms**2) / len(y)
    return float(np.exp(-(skin**2) * planes.firing.sum() * network.width * energy / squared))


def choose_skin(network, planes, y):
    """The skin of `SKINS` that makes near lists, and rebuilding them, cheapest.

    Parameters
    ----------
    network : ShiftedReLUNetwork
    planes : Hyperplanes
    y : ndarray of shape (n,)

    Returns
    -------
    float

    Notes
    -----
    Depends on numbers alone, not on the machine. Cost: that of `Population`, once for the samples.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> choose_skin(ShiftedReLUNetwork(10_000), Hyperplanes(np.eye(4), shift=1.0), np.ones(4))
    0.5
    """
    n, d = planes.X.shape

    def cost(skin):
        listed = planes.population.near_per_draw(skin)
        # a list of its own, and its centre: as many entries as two numbers each
        rebuilt = n * (SAMPLE_COST + NUMBER_COST * d) + (listed + d / 2) * ENTRY_COST
        return listed / network.copies * ENTRY_COST + strayed_share(network, planes, y, skin) * rebuilt

    return min(SKINS, key=cost)
