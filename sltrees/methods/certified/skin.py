"""The skin of near lists, method "certified": how far around a neuron samples are listed, chosen by what it costs."""

from __future__ import annotations

import numpy as np

from sltrees.gram.matrix import MAX_GRAM
from sltrees.kernels import shifted_ntk

# Near lists hold the samples nearer than the skin to a neuron, or beyond. A larger one means longer lists, a smaller
# one that more neurons leave theirs: it is chosen of these, in units of the initial weights (N(0, 1)).
SKINS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# Nanoseconds for an entry of a near list, mostly for memory touched for the first time; for each sample when a list is
# rebuilt, and for each number of it (both twice, as neurons that stray do so again). Only the ratios matter.
ENTRY_COST, SAMPLE_COST, NUMBER_COST = 9.5, 1.0, 0.02

_SAMPLES = 512  # on which it is looked at how far neurons will move

# Pairs that fire once neurons have moved as far as weights are long, for each that fires at the start: so many were
# found with 30,000 samples and 2^14 neurons.
_GROWTH = 2.5


def growth_of_pairs(n_samples):
    """How many times as many pairs fire at the end as at the start, about.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    float

    Notes
    -----
    Cost: O(1).

    Examples
    --------
    >>> growth_of_pairs(1000), growth_of_pairs(10**5)
    (1.0, 2.5)
    """
    return _GROWTH if n_samples > MAX_GRAM else 1.0


def strayed_share(network, planes, y, skin):
    """Share of the materialised neurons that are expected to move farther than a skin.

    Where samples on which a neuron fires are alike and have the same target, it moves as if it fired on one of them. By
    r with r^2 = |y|^2 / (m sum_i p_i mean_i p_i |x_i|^2) in the mean then, as all of the loss goes, and beyond s with
    probability exp(-s^2 / r^2). With more samples than there are arrays of G for, ridge and width hold nobody back: all
    move beyond any skin.

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
    if len(y) > MAX_GRAM:
        return 1.0
    energy = float(planes.firing @ planes.norms**2) / len(y)
    return float(np.exp(-(skin**2) * planes.firing.sum() * network.width * energy / squared))


def strayed_at_most(network, planes, y, skin, alpha=0.0):
    """Share of the materialised neurons that move farther than a skin before a run ends, rather too high than too low.

    `strayed_share` serves to compare skins. It says less than this where targets hold noise, or change faster than
    samples are dense: then weights have to move farther, the more the more samples there are.

    Parameters
    ----------
    network, planes, y, skin
        As for `strayed_share`.
    alpha : float, default 0.0
        Ridge, in units of the mean of diag(G).

    Returns
    -------
    float

    Notes
    -----
    The least |D|^2 that fits the targets is known of a network so wide that G is its kernel. It is computed for some
    of the samples and for half as many, and grows on from these as a power of their number. Of neurons that are to move
    by r in the mean square a share of some 1 - exp(-(1.4 r^2 / skin^2)^3) strays: measured on 15 problems of 300 to
    4,000 samples with 3 to 50 features. Cost: that of 512 samples, O(n d) and some 0.1 s.

    Examples
    --------
    >>> from sltrees import ShiftedReLUNetwork
    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.eye(4), shift=1.0)
    >>> shares = [strayed_at_most(ShiftedReLUNetwork(m), planes, np.ones(4), skin=0.5) for m in (20, 2000)]
    >>> np.round(shares, 1)
    array([1., 0.])
    """
    most = min(len(y), _SAMPLES)
    moved = [_least_displacement(planes, y, number, alpha) for number in (max(most // 2, 1), most)]
    share = planes.population.share
    if min(moved) <= 0.0 or share == 0.0:
        return 0.0
    squared = moved[1] * max(moved[1] / moved[0], 1.0) ** np.log2(len(y) / most) / (share * network.width)
    with np.errstate(over="ignore"):  # infinite is far enough
        return float(-np.expm1(-((1.4 * squared / skin**2) ** 3)))


def _least_displacement(planes, y, number, alpha):
    """|D|^2 of all neurons where a very wide network fits so many of the samples. Cost: O(number^3)."""
    some = np.arange(number) * len(y) // number
    kernel = shifted_ntk(planes.X[some], shift=planes.shift)
    unit = float(np.mean(planes.firing * planes.norms**2))
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0.0)
    # 1e-6: directions in which rounding, or a step that is damped, does not let weights go
    regular = values + (max(alpha, 1e-6) * unit or 1.0)
    return float(np.sum(values * np.square(vectors.T @ y[some] / regular)))


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
