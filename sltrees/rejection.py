"""sampling="rejection": draw only neurons that fire, and none of the silent ones.

Let the neurons of a network be a Poisson process of intensity m N(0, I) (with pairs: m/2 N(0, I)) and A_i the
half-space of the weights that fire on sample i. The part of the process in A_i is drawn by itself: Poisson(m P(A_i))
*proposals* from N(0, I) conditioned on A_i, a truncated normal along x_i and a standard normal across. The union of the
A_i is parted into A_i minus those before it, so a proposal for sample i is kept if and only if it fires on no sample
before i: what is kept is the part of the process in the union, exactly. Samples that come later change nothing of what
was drawn for those before them.

Where samples are alike, most proposals fire on one before. Then the coordinates of a proposal are drawn in an order
that settles this early: along x_i, then, one by one, along the directions that its neighbours among the samples before
add. As soon as it fires on one of them it is dropped, before its other coordinates are drawn. N(0, I) has independent
standard normal coordinates in every orthonormal basis, and a proposal that would be dropped whatever its other
coordinates are need not have them: the law of what is kept is the same, whichever neighbours are asked, how many, and
also if asking stops at a number of proposals that are left.

Sources: Karp, Luby, Madras 1989 (sampling a union of sets; the first set that holds a point owns it).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from sltrees._core._normals import fill_normals

_NUMBER, _PROPOSALS = 2, 3  # random streams of a sample

PROPOSALS_PER_CHUNK = 4096  # of one sample, from one random stream

# Neighbours that a proposal is held against before it is drawn as a whole: at most so many, and only those on which it
# fires with at least this probability, while there are at least so many proposals left.
MAX_NEIGHBOURS = 16
LIKELY = 0.02
FEW_PROPOSALS = 64

# Costs of a proposal, and of each sample for which proposals are made, in units of a draw under dense sampling with
# n d = 64,000: from asv_benchmarks/compare_setup.py. Only ratios matter.
PROPOSAL_COST = 1.6
SAMPLE_COST = 500.0


class Proposals:
    """The proposals of a network for each sample of a list, in chunks.

    Parameters
    ----------
    planes : Hyperplanes
        Of the samples, in the order in which they came.
    intensity : float
        Draws expected in all, silent ones included: m / copies.
    seed : callable
        seed(*key) is a SeedSequence of the network for each key.

    Attributes
    ----------
    numbers : ndarray of shape (n,), dtype=int64
        Proposals for each sample; 0 where the same row came before.
    chunks : list of (sample, chunk)
        In the order of the samples.

    Notes
    -----
    Cost: O(n d).
    """

    def __init__(self, planes, intensity, seed):
        self._planes, self._seed = planes, seed
        self.numbers = np.zeros(len(planes.X), dtype=np.int64)
        self._probabilities = planes.firing
        came_before = set()
        for i, row in enumerate(planes.X):
            key = row.tobytes()
            if planes.live[i] and key not in came_before:
                stream = np.random.Generator(np.random.SFC64(seed(i, _NUMBER)))
                self.numbers[i] = stream.poisson(intensity * self._probabilities[i])
            came_before.add(key)
        counts = -(-self.numbers // PROPOSALS_PER_CHUNK)
        self.chunks = [(i, chunk) for i in np.flatnonzero(counts).tolist() for chunk in range(counts[i])]

    def size(self, i, chunk):
        """Number of proposals of a chunk. Cost: O(1)."""
        return int(min(PROPOSALS_PER_CHUNK, self.numbers[i] - chunk * PROPOSALS_PER_CHUNK))

    def draw(self, i, chunk, neighbours):
        """The proposals of a chunk that fire on none of the nearest samples before: numbers, and weights in float32.

        Parameters
        ----------
        i, chunk : int
        neighbours : tuple of ndarray
            As `neighbours` finds them for sample i: they serve all of its chunks.

        Returns
        -------
        numbers : ndarray of shape (q,), dtype=int64
            Ascending, within the chunk.
        weights : ndarray of shape (q, d), dtype=float32

        Notes
        -----
        Cost: O(q d neighbours), and O(neighbours^2) for each proposal that is dropped.
        """
        planes, size = self._planes, self.size(i, chunk)
        seed = self._seed(i, _PROPOSALS, chunk)
        stream = np.random.Generator(np.random.SFC64(seed))
        # 1 - random() is in (0, 1]: the tail is never infinite
        along = -ndtri((1.0 - stream.random(size)) * self._probabilities[i])
        basis, mixing, offsets = neighbours
        numbers, coordinates = np.arange(size), along[:, None]
        for k, offset in enumerate(offsets):
            if numbers.size < FEW_PROPOSALS:
                break
            coordinates = np.column_stack([coordinates, stream.standard_normal(numbers.size)])
            silent = coordinates @ mixing[k, : k + 2] <= offset
            if not silent.all():
                numbers, coordinates = numbers[silent], coordinates[silent]
        used = basis[: coordinates.shape[1]]
        weights = np.empty((numbers.size, planes.X.shape[1]), dtype=np.float32)
        fill_normals(seed.spawn(1)[0], weights)
        # what the basis sees of them gives way to the coordinates drawn; in single precision, as the others are
        weights += (coordinates.astype(np.float32) - weights @ used.T) @ used
        return numbers, weights

    def neighbours(self, i):
        """The samples before i on which a proposal for it most likely fires, likeliest first, in coordinates.

        Returns
        -------
        basis : ndarray of shape (q + 1, d), dtype=float32
            Orthonormal rows: the direction of sample i, and what each neighbour adds.
        mixing : ndarray of shape (q, q + 1)
            Coordinates of the neighbours' directions.
        offsets : ndarray of shape (q,)
            Their hyperplanes.

        Notes
        -----
        Cost: O(i d + q^2 d).
        """
        planes, d = self._planes, self._planes.X.shape[1]
        directions = planes.directions[: i + 1, :d].astype(np.float64)
        own = directions[i] / np.linalg.norm(directions[i])
        before = np.flatnonzero(planes.live[:i])
        cosine = directions[before] @ own
        # a proposal stands a little beyond its hyperplane: take it to be the mean of an exponential tail
        height = planes.offsets[i] + 1.0 / (planes.offsets[i] + 1.0)
        spread = np.sqrt(np.maximum(1.0 - cosine**2, 1e-12))
        margin = (planes.offsets[before] - cosine * height) / spread
        likely = before[np.argsort(margin, kind="stable")]
        likely = likely[: np.count_nonzero(margin < -ndtri(LIKELY))]
        most = min(MAX_NEIGHBOURS, d - 1)
        basis, mixing, offsets = np.zeros((most + 1, d)), np.zeros((most, most + 1)), np.zeros(most)
        basis[0] = own
        found = 0
        for j in likely:
            if found == most:
                break
            axes = basis[: found + 1]
            coordinates = axes @ directions[j]
            rest = directions[j] - coordinates @ axes
            again = axes @ rest  # once more, for what rounding left
            rest -= again @ axes
            length = np.linalg.norm(rest)
            if length > 1e-6:  # else it adds no direction; whether proposals fire on it is seen when they are whole
                mixing[found, : found + 1], mixing[found, found + 1] = coordinates + again, length
                offsets[found] = planes.offsets[j]
                found += 1
                basis[found] = rest / length
        return basis[: found + 1].astype(np.float32), mixing[:found, : found + 1], offsets[:found]


def veto_foreign(z, samples, thresholds):
    """Overwrite with -inf the products of proposals that do not belong to their sample.

    A proposal belongs to a sample if that is the first one on which it fires, by the products as they are computed.

    Parameters
    ----------
    z : ndarray of shape (k, n)
    samples : ndarray of shape (k,)
        The sample for which each row was proposed, ascending.
    thresholds : ndarray of shape (n,)
        A product above it fires.

    Notes
    -----
    Cost: O(k n).
    """
    begin = 0
    while begin < len(z):
        i = samples[begin]
        end = int(np.searchsorted(samples, i, side="right"))
        foreign = (z[begin:end, :i] > thresholds[:i]).any(axis=1) | ~(z[begin:end, i] > thresholds[i])
        z[begin:end][foreign] = -np.inf
        begin = end


def cheaper_sampling(width, copies, planes):
    """ "rejection" where it is expected to cost less than drawing every neuron, else "dense".

    Parameters
    ----------
    width, copies : int
    planes : Hyperplanes

    Returns
    -------
    str

    Notes
    -----
    Depends on numbers alone, never on clocks, so that a seed gives the same network everywhere. Cost: O(n).

    Examples
    --------
    >>> from sltrees.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.eye(4), shift=4.0)
    >>> cheaper_sampling(10**3, 2, planes), cheaper_sampling(10**8, 2, planes)
    ('dense', 'rejection')
    """
    draws = width / copies
    return "rejection" if draws * planes.firing.sum() * PROPOSAL_COST + SAMPLE_COST * len(planes.X) < draws else "dense"
