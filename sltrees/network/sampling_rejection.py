"""sampling="rejection": draw only neurons that fire, and none of the silent ones.

Let the neurons of a network be a Poisson process of intensity m N(0, I) (with pairs: m/2 N(0, I)) and A_i the
half-space of the weights that fire on sample i. The part of the process in A_i is drawn by itself: Poisson(m P(A_i))
*proposals* from N(0, I) conditioned on A_i, a truncated normal along x_i and a standard normal across. The union of the
A_i is parted into A_i minus those before it, so a proposal for sample i is accepted if and only if it fires on no
sample before i: what is accepted is the part of the process in the union, exactly. Samples that come later change
nothing of what was drawn for those before them.

Where samples are alike, most proposals fire on one before. Then the coordinates of a proposal are drawn in an order
that settles this early: along x_i, then, in stages, along the directions that its neighbours among the samples before
add. After the stage in which it fires on one of them it is dropped, and its other coordinates are never drawn. N(0, I)
has independent standard normal coordinates in every orthonormal basis, and a proposal that would be dropped whatever
its other coordinates are need not have them: the law of what is accepted is the same, whichever neighbours are asked,
how many, and also if asking stops at a number of proposals that are left.

Sources: Karp, Luby, Madras 1989 (sampling a union of sets; the first set that holds a point owns it).
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import ndtri

from sltrees._core._normals import fill_normals
from sltrees.network.near_lists import collect, empty_lists
from sltrees.network.random_streams import generator
from sltrees.network.sampling_dense import WORK_PER_TASK, DenseSampling
from sltrees.network.shards import Drawn

PROPOSALS_PER_CHUNK = 4096  # of one sample, from one random stream

_PROPOSALS_PER_TASK = 1 << 15  # at most

# Neighbours that a proposal is held against before it is drawn as a whole: at most so many, and only those on which it
# fires with at least this probability, while there are at least so many proposals left.
MAX_NEIGHBOURS = 16
LIKELY = 0.02
FEW_PROPOSALS = 64
STAGES = (0, 1, 2, 4, 8, MAX_NEIGHBOURS)  # neighbours that are asked together: the first ones drop most

# Costs of a proposal, and of each sample for which proposals are made, in units of a draw under dense sampling with
# n d = 64,000: from asv_benchmarks/compare/setup.py. Only ratios matter.
PROPOSAL_COST = 0.9
SAMPLE_COST = 200.0


class Proposals:
    """The proposals of a network for each sample of a list, in chunks.

    Parameters
    ----------
    planes : Hyperplanes
        Of the samples, in the order in which they came.
    intensity : float
        Draws expected in all, silent ones included: m / copies.
    streams : RandomStreams

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

    def __init__(self, planes, intensity, streams):
        self._planes, self._streams = planes, streams
        self.numbers = np.zeros(len(planes.X), dtype=np.int64)
        self._probabilities = planes.firing
        came_before = set()
        for i, row in enumerate(planes.X):
            key = row.tobytes()
            if planes.live[i] and key not in came_before:
                self.numbers[i] = generator(streams.of_number(i)).poisson(intensity * self._probabilities[i])
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
        seed = self._streams.of_proposals(i, chunk)
        stream = generator(seed)
        # 1 - random() is in (0, 1]: the tail is never infinite
        along = -ndtri((1.0 - stream.random(size)) * self._probabilities[i])
        basis, mixing, offsets = neighbours
        numbers, coordinates = np.arange(size), along[:, None]
        for begin, end in itertools.pairwise(STAGES):
            if numbers.size < FEW_PROPOSALS or begin >= len(offsets):
                break
            some = slice(begin, end)
            fresh = stream.standard_normal((numbers.size, len(offsets[some])))
            coordinates = np.concatenate([coordinates, fresh], axis=1)
            silent = (coordinates @ mixing[some, : coordinates.shape[1]].T <= offsets[some]).all(axis=1)
            numbers, coordinates = numbers[silent], coordinates[silent]
        used = basis[: coordinates.shape[1]]
        weights = np.empty((numbers.size, planes.X.shape[1]), dtype=np.float32)
        fill_normals(seed.spawn(1)[0], weights)
        # what the basis sees of them gives way to the coordinates drawn; in single precision, as the others are
        # (on some processors BLAS sets the flag "invalid" for lanes that it does not use: numpy issues 13173, 24067)
        with np.errstate(invalid="ignore"):
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
        likely = likely[: min(np.count_nonzero(margin < -ndtri(LIKELY)), MAX_NEIGHBOURS, d - 1)]
        # a neighbour that adds no direction gets one of no consequence: its coordinate there is 0, up to rounding
        basis, mixing = np.linalg.qr(np.concatenate([own[None], directions[likely]]).T)
        if mixing[0, 0] < 0:  # the first direction is that of sample i, not its opposite
            basis[:, 0], mixing[0] = -basis[:, 0], -mixing[0]
        return basis.T.astype(np.float32), mixing[:, 1:].T, planes.offsets[likely]


class RejectionSampling:
    """Draw only the neurons of a network that fire, and none of the silent ones.

    Parameters
    ----------
    width : int
        m: neurons expected in all.
    copies : int
        Neurons that share a draw.
    streams : RandomStreams
    dtype : float32 or float64
    """

    name = "rejection"

    def __init__(self, width, copies, streams, dtype):
        self._width, self._copies, self._streams, self._dtype = width, copies, streams, np.dtype(dtype)

    def tasks(self, planes, n_seen):
        """What `find` is to be called with: proposals, and ranges of consecutive chunks of those for new samples.

        Parameters
        ----------
        planes : Hyperplanes
            Of all samples, in the order in which they came.
        n_seen : int
            So many of them, the first ones, were drawn for before.

        Returns
        -------
        list of tuple (Proposals, range)
            They depend on the samples alone. Chunks have the numbers that they would have had, had all samples been
            there from the start.

        Notes
        -----
        Cost: O(n d + chunks).
        """
        n, d = planes.X.shape
        proposals = Proposals(planes, self._width / self._copies, self._streams)
        most = min(_PROPOSALS_PER_TASK, max(1, WORK_PER_TASK // (n * d)))
        begin = sum(i < n_seen for i, _ in proposals.chunks)
        tasks, size = [], 0
        for number in range(begin, len(proposals.chunks)):
            more = proposals.size(*proposals.chunks[number])
            if size and size + more > most:
                tasks.append((proposals, range(begin, number)))
                begin, size = number, 0
            size += more
        return [*tasks, (proposals, range(begin, len(proposals.chunks)))]

    def find(self, task, planes, n_seen, skin):
        """The proposals of consecutive chunks that are accepted: a chunk has the numbers of a block of neurons.

        Parameters
        ----------
        task : tuple (Proposals, range)
            Of `tasks`.
        planes, n_seen
            As for `tasks`.
        skin : float or None
            Of the near lists; None: none are wanted.

        Returns
        -------
        Drawn
            None of them fires on an old sample.

        Notes
        -----
        Cost: O(q n d) over all tasks, with q the number of proposals that fire on none of their neighbours.
        """
        (proposals, chunks), d = task, planes.X.shape[1]
        numbers, weights, samples = [np.empty(0, np.int64)], [np.empty((0, d), np.float32)], [np.empty(0, np.int64)]
        neighbours, of_sample = None, -1
        for number in chunks:
            i, chunk = proposals.chunks[number]
            if i != of_sample:
                neighbours, of_sample = proposals.neighbours(i), i
            own, fresh = proposals.draw(i, chunk, neighbours)
            numbers.append(number * PROPOSALS_PER_CHUNK + own)
            weights.append(fresh)
            samples.append(np.full(own.size, i))
        numbers, weights, samples = np.concatenate(numbers), np.concatenate(weights), np.concatenate(samples)
        weights = weights.astype(self._dtype, copy=False)
        near = empty_lists(planes, skin or 0.0, 0, keep_all=False, expected=8 * len(weights) if skin else 0)
        thresholds = planes.thresholds(0.0)

        def veto(z, start):
            veto_foreign(z, samples[start : start + len(z)], thresholds)

        drawn = collect(near, weights, planes.X, forget=skin is None, veto=veto)
        near.trim()
        return Drawn(numbers[drawn], weights[drawn], None if skin is None else near)

    def silent_weights(self, planes):
        """Weights of the draws that fire on no sample, of which there is a random number; shape (q, d).

        Cost: O(m n d), and as much memory as m neurons.
        """
        number = generator(self._streams.of_silent(0)).poisson(self._width / self._copies)
        weights = np.empty((number, planes.X.shape[1]), dtype=np.float32)
        fill_normals(self._streams.of_silent(1), weights)
        weights = weights.astype(self._dtype, copy=False)
        near = empty_lists(planes, 0.0, 0, keep_all=False)
        fires = np.zeros(len(weights), dtype=bool)
        fires[collect(near, weights, planes.X, forget=True)] = True
        return weights[~fires]

    def bytes_needed(self, shape):
        """Bytes of scratch memory that a thread needs to draw for samples of this shape. Cost: O(1)."""
        dense = DenseSampling(self._width, self._copies, self._streams, self._dtype).bytes_needed(shape)
        return dense + 3 * _PROPOSALS_PER_TASK * shape[1] * 4 + PROPOSALS_PER_CHUNK * MAX_NEIGHBOURS * 8


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
    >>> from sltrees.network.hyperplanes import Hyperplanes
    >>> planes = Hyperplanes(np.eye(4), shift=4.0)
    >>> cheaper_sampling(10**3, 2, planes), cheaper_sampling(10**8, 2, planes)
    ('dense', 'rejection')
    """
    draws = width / copies
    return "rejection" if draws * planes.firing.sum() * PROPOSAL_COST + SAMPLE_COST * len(planes.X) < draws else "dense"
