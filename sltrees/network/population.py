"""How many neurons of a network will fire, and on how many samples each, estimated before it is drawn.

The probabilities that a fresh neuron fires on each sample add up to a bound on the share that fires on any. Where
samples are alike the bound is far too high: a neuron that fires on one of them mostly fires on others, and is counted
for each. Counting it for all of them and dividing by their number is exact. Draw sample i with probability p_i / sum p,
and weights w from N(0, I) conditioned on firing on i. Then w has the density (c(w) / sum p) N(0, I), where c(w) is the
number of samples on which it fires, and sum p times the mean of f(w) / c(w) is the integral of f over the weights that
fire on a sample: their share for f = 1, and with f = the length of the near list the total of these lengths.

However small the share is, every proposal fires: the relative error does not grow with the shift.

Source: Karp, Luby, Madras 1989 (Monte Carlo approximation of the size of a union of sets).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

_SEED = 1989  # the same for all: estimates depend on the samples and the shift alone

# Proposals: as many as take the time of so many multiplications, but no fewer and no more than these. To draw a normal
# number, or to look at a product, takes about as long as so many multiplications within BLAS.
MULTIPLICATIONS, MULTIPLICATIONS_PER_NUMBER = 1 << 31, 128
FEWEST_PROPOSALS, MOST_PROPOSALS = 256, 4096

NUMBERS_AT_A_TIME = 1 << 18  # products held, and coordinates of weights: 2 MiB each, so that they are still in cache

# Near lists are known for skins of whole steps, and interpolated between them.
MAX_SKIN = 2.0
STEPS_PER_UNIT = 64  # a power of two: that a distance is rounded to a step does not round it to the other side


class Population:
    """The neurons that fire on at least one sample, among many fresh ones: how many, and the lengths of near lists.

    Parameters
    ----------
    planes : Hyperplanes
        The estimate is the same for directions in float32 and float64, but for how the dtype rounds them.

    Attributes
    ----------
    share : float
        Of fresh draws, those that fire on a sample. At most 1, and at most the sum of the probabilities that one fires
        on each sample. 0 where there is no sample on which neurons fire.
    share_error : float
        Standard error of the share. Rather too high than too low: it counts also what drawing the samples evenly saves.
    fired_per_draw : float
        Mean number of samples on which a draw that fires does so. 0 where the share is.

    Notes
    -----
    From q = 2^31 / (n d + 128 (n + d)) proposals, at least 256 and at most 4096, for n samples that are not zeros. They
    have a fixed random stream: the estimate depends on the samples and the shift alone.

    Cost: O(q n d), through BLAS. Memory: O(n d), in float64, beside 2^18 products at a time.

    References
    ----------
    Karp, Luby, Madras 1989, Journal of Algorithms 10, 429-448.

    Examples
    --------
    Five samples, all the same: what fires on one of them fires on all.

    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.ones((5, 1)), shift=2.0)
    >>> population = Population(planes)
    >>> round(population.share, 6), round(planes.materialised_share, 6)
    (0.02275, 0.113751)
    >>> round(population.fired_per_draw, 6), round(population.near_per_draw(0.5), 6)
    (5.0, 5.0)
    """

    def __init__(self, planes):
        probabilities = planes.firing[planes.live]
        total = float(probabilities.sum())
        self.share = self.share_error = self.fired_per_draw = 0.0
        self._n_live = probabilities.size
        self._near = np.zeros(int(MAX_SKIN * STEPS_PER_UNIT) + 1)
        if total == 0.0:
            return
        shares, near = _pilot(planes, probabilities)
        # a share is at most 1; the sum may be so small that its products are 0, so nothing is divided by them
        reciprocal = min(float(shares.mean()), 1.0 / total)
        self.share = min(1.0, total * reciprocal)
        self.share_error = total * float(shares.std(ddof=1)) / math.sqrt(len(shares))
        self.fired_per_draw = 1.0 / reciprocal
        self._near = self.fired_per_draw * near

    def near_per_draw(self, skin):
        """Mean length of the near list of a draw that fires: samples nearer to it than `skin`, or beyond.

        Parameters
        ----------
        skin : float
            From 0, where these are the samples on which it fires, to 2.

        Returns
        -------
        float
            0 where no draw fires.

        Raises
        ------
        ValueError
            If the skin is not in [0, 2].

        Notes
        -----
        Linear between multiples of 1/64. Cost: O(1).

        Examples
        --------
        >>> from sltrees.network.hyperplanes import Hyperplanes
        >>> population = Population(Hyperplanes(np.eye(100), shift=3.0))
        >>> population.near_per_draw(0.0) < 1.1, 2.0 < population.near_per_draw(1.0) < 5.0
        (True, True)
        """
        if not 0.0 <= skin <= MAX_SKIN:
            raise ValueError(f"skin must be in [0, {MAX_SKIN:g}], got {skin}")
        near = float(np.interp(skin * STEPS_PER_UNIT, np.arange(len(self._near)), self._near))
        return min(near, float(self._n_live))  # more only where the share was above 1 before it was cut


def _pilot(planes, probabilities):
    """Proposals for the live samples, looked at: 1 / c of each, and the means of near / c for all skins.

    Parameters
    ----------
    planes : Hyperplanes
    probabilities : ndarray of shape (n,)
        That a fresh neuron fires on each live sample.

    Returns
    -------
    shares : ndarray of shape (q,)
    near : ndarray of shape (MAX_SKIN * STEPS_PER_UNIT + 1,)

    Notes
    -----
    Cost: O(q n d).
    """
    n, d = probabilities.size, planes.X.shape[1]
    cost = n * d + MULTIPLICATIONS_PER_NUMBER * (n + d)
    size = min(max(MULTIPLICATIONS // cost, FEWEST_PROPOSALS), MOST_PROPOSALS)
    stream = np.random.Generator(np.random.SFC64(_SEED))
    samples = _drawn_evenly(probabilities, size, stream)
    # 1 - random() is in (0, 1], and the product may still be 0 where the probability hardly is above it
    beyond = np.maximum((1.0 - stream.random(size)) * probabilities[samples], np.nextafter(0.0, 1.0))
    along = -ndtri(beyond)
    directions = planes.directions[planes.live, :d].astype(np.float64)
    offsets = planes.offsets[planes.live]

    rows = max(1, NUMBERS_AT_A_TIME // max(n, d))
    shares = np.empty(size)
    steps = np.zeros(int(MAX_SKIN * STEPS_PER_UNIT) + 1)
    for start in range(0, size, rows):
        own = samples[start : start + rows]
        k = len(own)
        weights = stream.standard_normal((k, d))
        axes = directions[own]
        weights += (along[start : start + k] - np.einsum("ij,ij->i", weights, axes))[:, None] * axes
        distances = weights @ directions.T
        distances -= offsets
        # it was drawn to fire on its own sample, whatever rounding says
        where = np.arange(k), own
        distances[where] = np.maximum(distances[where], np.finfo(np.float64).tiny)
        part = shares[start : start + k]
        part[:] = 1.0 / np.count_nonzero(distances > 0.0, axis=1)
        listed = distances > -MAX_SKIN
        # step 0 holds the samples on which it fires, step j those that the skin j / STEPS_PER_UNIT is the first to hold
        step = np.maximum(np.floor(distances[listed] * -STEPS_PER_UNIT), -1.0).astype(np.intp) + 1
        steps += np.bincount(step, np.repeat(part, np.count_nonzero(listed, axis=1)), minlength=len(steps))
    return shares, np.cumsum(steps) / size


def _drawn_evenly(probabilities, size, stream):
    """Samples drawn in proportion to their probabilities, each as often as expected, rounded up or down.

    Systematic sampling: equal steps along the cumulated probabilities, from a random start. The samples are lined up in
    random order, as steps that keep time with a period of theirs would meet samples of one kind alone.

    Parameters
    ----------
    probabilities : ndarray of shape (n,)
    size : int
    stream : Generator

    Returns
    -------
    ndarray of shape (size,), dtype=int64

    Notes
    -----
    Cost: O(n + size log n).

    Examples
    --------
    >>> stream = np.random.Generator(np.random.SFC64(0))
    >>> np.bincount(_drawn_evenly(np.array([0.1, 0.0, 0.3]), 8, stream)).tolist()
    [2, 0, 6]
    """
    order = stream.permutation(np.flatnonzero(probabilities))
    cumulated = np.cumsum(probabilities[order])
    places = (np.arange(size) + stream.random()) / size * cumulated[-1]
    # the last place may be rounded to the end where probabilities are about the smallest numbers there are
    return order[np.minimum(np.searchsorted(cumulated, places, side="right"), order.size - 1)]
