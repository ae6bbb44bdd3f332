"""Lazy rows beside a dense model that looks at every pair in every step, in double precision."""

import contextlib
import copy

import numpy as np

from sltrees import reference
from sltrees._core import _simd
from sltrees._core._lazy_findings import LazyStep
from sltrees._core._lazy_rows import LazyRows
from sltrees._core._near_lists import NearLists
from sltrees._core._pools import padded
from sltrees.reference.row_invariants import check_rows, rows_state

SKIN, MARGIN = 1.0, 1 / 16


@contextlib.contextmanager
def at_level(level):
    """Build at this instruction level, or at the one in use (None)."""
    before = _simd.active_level_name()
    _simd.set_active_level(level or before)
    try:
        yield
    finally:
        _simd.set_active_level(before)


def draw_samples(rng, n, d, dtype, *, norms=(1.0, 1.0), duplicates=0, zeros=0):
    """n samples with norms in a range, some of them copies of others or zeros."""
    X = rng.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    low, high = np.log(norms)
    X *= np.exp(rng.uniform(low, high, (n, 1)))
    for _ in range(duplicates if n > 1 else 0):
        i, j = rng.integers(0, n, 2)
        X[i] = X[j] * rng.choice([1.0, 2.0])
    X[rng.integers(0, n, zeros)] = 0
    return np.ascontiguousarray(X, dtype=dtype)


class Trial:
    """A step under review: what lazy rows found, and what is true."""

    def __init__(self, step, found, position, displacement, after):
        self.step, self.found, self.position = step, found, position
        self.displacement, self.after = displacement, after


class Driver:
    """Lazy rows, driven like the certified method drives them, and the dense model they must agree with.

    The model follows the rows where rounding decides on which side of a hyperplane one is, and nowhere else.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    initial : ndarray of shape (k / copies, d), of the same dtype
    shift : float
    copies : int
        Consecutive rows with the same initial weights and alternating signs.
    share : bool
        Let the copies share a near list.
    origin : ndarray of shape (k, d), optional
        Displacements to begin with; no list is shared then.
    exchange : float
        Weight of shrinking in the clock; 0 where no step shrinks.
    level : str, optional
    signs : array_like of shape (k,), optional
    """

    def __init__(self, X, initial, shift, *, copies=1, share=True, origin=None, exchange=0.5, skin=SKIN, margin=MARGIN,
                 level=None, signs=None):  # fmt: skip
        self.initial, self.shift, self.copies = initial, float(shift), copies
        self.dtype, self.exchange, self.skin, self.margin = X.dtype, exchange, skin, margin
        self.eps = float(np.finfo(X.dtype).eps)
        k, n = len(initial) * copies, len(X)
        padded_directions = self._set_samples(X)
        if signs is None:
            signs = np.tile([1.0, -1.0], k)[:k] if copies == 2 else np.where(np.arange(k) % 3 == 0, -1.0, 1.0)
        self.signs = np.asarray(signs, dtype=np.float64)
        # the model: everything in double precision
        self.start = np.repeat(initial, copies, axis=0).astype(np.float64)
        self.origin = np.zeros((k, X.shape[1])) if origin is None else origin.astype(np.float64)
        self.displacement = self.origin.copy()
        self.beta, self.history, self.decay = np.zeros(n), np.zeros((1, n)), np.ones(1)
        self.origin_decay, self.clock = 1.0, 0.0
        self.terms = np.linalg.norm(self.start, axis=1) + np.linalg.norm(self.origin, axis=1)  # rounding goes with them
        self.fires = np.zeros((k, n), dtype=bool)
        with at_level(level):
            self._build(padded_directions, share and origin is None, origin)
        self.step = self._lazy_step(self._position())
        truth = reference.lazy_rows_by_definition(self.start + self.displacement, self.directions, self.offsets)
        self.fires = self._pattern()
        assert np.all((self.fires == truth.fires) | (np.abs(truth.distances) <= self.slack()))
        self.check()

    def _set_samples(self, X):
        """Sets: all that is known of the samples. Returns their directions, padded."""
        exact = X.astype(np.float64)
        norms = np.linalg.norm(exact, axis=1)
        live = norms > 0
        safe = np.where(live, norms, 1.0)
        padded_directions = padded(np.where(live[:, None], exact / safe[:, None], 0.0).astype(X.dtype))
        self.X = X
        self.directions = padded_directions[:, : X.shape[1]].astype(np.float64)
        self.offsets = np.where(live, self.shift / safe, 0.0)
        self.inverse_norms = np.where(live, 1 / safe, 0.0).astype(X.dtype)
        self.thresholds = np.where(live, self.shift - self.skin * norms, np.inf).astype(X.dtype)
        return padded_directions

    def _build(self, directions, share, origin):
        X, copies = self.X, self.copies
        weights = self.initial if share else np.repeat(self.initial, copies, axis=0)
        if origin is not None:
            weights = weights + origin
        near = NearLists(self.thresholds, self.inverse_norms, self.shift, True, len(X))
        products = self.initial @ X.T if origin is None else weights @ X.T
        if not share and origin is None:
            products = np.repeat(products, copies, axis=0)  # of the same bits as shared ones
        for first in range(0, len(products), 7):
            assert np.array_equal(
                near.collect(products[first : first + 7]), np.arange(len(products[first : first + 7]))
            )
        signs, origin = self.signs.astype(self.dtype), None if origin is None else padded(origin)
        self.rows = LazyRows(directions, signs, near, copies if share else 1, self.skin, origin)

    # ------------------------------------------------------------------ the model

    @property
    def k(self):
        return len(self.start)

    @property
    def n(self):
        return len(self.X)

    def distances(self, displacement=None):
        moved = self.displacement if displacement is None else displacement
        return self.start @ self.directions.T - self.offsets + moved @ self.directions.T

    def slack(self, fires=None, beta=None):
        """Bound on the rounding errors of signed distances, (k, n)."""
        fires = self.fires if fires is None else fires
        of_rows = (self.terms + fires @ np.abs(self.beta if beta is None else beta))[:, None]
        return 8 * self.eps * (np.sqrt(self.X.shape[1]) + 4) * (of_rows + self.offsets) + 8 * self.resolution

    def _pattern(self):
        indptr, directions = self.rows.pattern
        fires = np.zeros((self.k, self.n), dtype=bool)
        fires[np.repeat(np.arange(self.k), np.diff(indptr)), directions] = True
        return fires

    @property
    def resolution(self):
        return self.eps * (1 + abs(self.shift))

    def _position(self):
        return self.beta, self.history, self.decay, self.origin_decay, self.clock

    def _lazy_step(self, position):
        beta, history, decay, origin_decay, clock = position
        largest = np.abs(beta).max(initial=0.0) + np.abs(history).max(initial=0.0)
        return LazyStep(
            beta,
            beta - history,
            decay,
            origin_decay=origin_decay,
            clock=clock,
            exchange=self.exchange,
            skin=self.skin,
            margin=self.margin,
            rounding=self.eps / 2,
            coefficient_rounding=4 * np.finfo(np.float64).eps * largest,
            resolution=self.resolution,
        )

    # ------------------------------------------------------------------ a step

    def review(self, moved_by, shrink=1.0, visit_all=False):
        """D <- shrink D - sign times the sum of moved_by_i u_i over what fires, under review; checks what is found."""
        assert shrink == 1.0 or self.exchange > 0
        beta = shrink * self.beta + moved_by
        tick = float(np.abs(beta - self.beta).max(initial=0.0)) + self.exchange * (1.0 - shrink)
        position = beta, self.history, shrink * self.decay, shrink * self.origin_decay, self.clock + tick
        displacement = reference.shrink_and_step(
            self.fires, self.signs, moved_by, self.directions, shrink, 1.0, self.displacement
        )
        step = self._lazy_step(position)
        before = self.rows.failure_times.values.copy()
        found = self.rows.review(step, visit_all)
        reported = np.arange(self.k) if visit_all else np.flatnonzero(before < position[4])
        self._collect(step, found)
        visited = found.visited_rows
        assert found.n_reported == len(reported)
        assert len(np.unique(visited)) == len(visited) == found.n_visited
        assert np.isin(visited, reported).all()
        assert found.n_cleared == len(reported) - len(visited)
        # every flip once, and so the truth is found: of rows visited, of those cleared, of those not even reported
        rows, directions, begins = found.flips
        assert len(np.unique(rows.astype(np.int64) * self.n + directions)) == len(rows) == found.n_flips
        assert np.isin(rows, visited).all()
        assert np.array_equal(self.fires[rows, directions], ~begins)
        after = self.fires.copy()
        after[rows, directions] = begins
        truth = reference.lazy_rows_by_definition(self.start + displacement, self.directions, self.offsets)
        slack = self.slack(self.fires | after, np.maximum(np.abs(beta), np.abs(self.beta)))
        wrong = (after != truth.fires) & ~(np.abs(truth.distances) <= slack)
        assert not wrong.any(), (np.argwhere(wrong)[:3], truth.distances[wrong][:3], slack[wrong][:3])
        trial = Trial(step, found, position, displacement, after)
        self._check_sums(trial, truth.distances, slack)
        return trial

    def _collect(self, step, found):
        """As CertifiedShard.review does."""
        size = 3
        for first in range(0, found.n_strayed, size):
            rows = found.strayed_rows[first : first + size]
            weights = self.initial[rows // self.copies]
            weights += found.strayed_displacement[first : first + size, : self.X.shape[1]]
            self.rows.collect_strayed(
                step, found, first, weights @ self.X.T, self.thresholds, self.inverse_norms, self.shift
            )

    def _check_sums(self, trial, y, slack):
        """Corrections, outputs and pair counts of a step under review."""
        outputs, moved = reference.flip_corrections(
            self.fires, trial.after, self.signs, y, trial.displacement, self.directions
        )
        errors = ((self.fires | trial.after) * slack).sum(axis=0)
        assert np.all(np.abs(trial.found.corrections[0] - outputs) <= errors)
        assert np.all(np.abs(trial.found.corrections[1] - (moved if self.exchange > 0 else 0)) <= errors)
        # the sums themselves do not have the flips yet
        outputs, moved, place = self._outputs(trial.step)
        signed = self.signs[:, None] * self.fires
        assert np.all(np.abs(outputs - (signed * y).sum(axis=0)) <= errors + 8 * self.eps * self.k)
        assert np.all(np.abs(moved - (signed * (trial.displacement @ self.directions.T)).sum(axis=0)) <= errors)
        assert np.all(np.abs(place - trial.displacement) <= slack.max(axis=1, initial=0.0)[:, None])
        counts = np.zeros((self.n, self.n), dtype=np.int32)
        self.rows.count_flips(trial.found, 0, self.n, counts)
        change = counts + counts.T
        np.fill_diagonal(change, counts.diagonal())
        assert np.array_equal(change, reference.pair_count_change(self.fires, trial.after))
        parts, cut = np.zeros_like(counts), self.n // 3
        for start, stop in ((cut, self.n), (0, cut), (cut, cut)):
            self.rows.count_flips(trial.found, start, stop, parts)
        assert np.array_equal(counts, parts)

    def _outputs(self, step, start=0, stop=-1):
        outputs, moved = np.zeros(self.n), np.zeros(self.n)
        last = self.k if stop < 0 else stop
        place = np.full((last - start, self.X.shape[1]), np.nan, dtype=self.dtype)
        arguments = (step, self.initial, self.copies, self.offsets)
        self.rows.add_outputs(*arguments, outputs, moved, displacement=place, start=start, stop=stop)
        again, moved_again = np.zeros(self.n), np.zeros(self.n)
        self.rows.add_outputs(*arguments, again, moved_again, start=start, stop=stop)
        assert np.array_equal(outputs, again)
        assert np.array_equal(moved, moved_again)
        return outputs, moved, place

    def apply(self, trial, *, alone=False):
        """Keep a step; with `alone` (all rows visited) its stamp is the only one."""
        kept = self.rows.failure_times.values.copy()
        self.rows.apply(trial.step, trial.found, 0 if alone else len(self.history))
        # a list that was just built is known all over
        assert not self.state()["row"]["reach"][trial.found.strayed_rows].any()
        if not alone:
            untouched = ~(kept < trial.position[4])
            assert np.array_equal(self.rows.failure_times.values[untouched], kept[untouched])
        flips = (self.fires != trial.after) @ np.maximum(np.abs(trial.position[0]), np.abs(self.beta))
        self.terms += self.fires @ np.abs(trial.position[0] - self.beta) + flips
        self.beta, self.history, self.decay, self.origin_decay, self.clock = trial.position
        self.displacement, self.fires = trial.displacement, trial.after
        if alone:
            self.history, self.decay = self.beta[None].copy(), np.ones(1)
        elif trial.found.n_visited:
            self.history, self.decay = np.concatenate([self.history, self.beta[None]]), np.append(self.decay, 1.0)
        self.step = self._lazy_step(self._position())

    def move(self, moved_by, shrink=1.0, visit_all=False):
        """A step that is kept, with all checks."""
        trial = self.review(moved_by, shrink, visit_all)
        self.apply(trial, alone=visit_all)
        self.check()
        return trial.found

    def go_to(self, beta, shrink=1.0, visit_all=False):
        """The step after which the coefficients are `beta`."""
        return self.move(beta - shrink * self.beta, shrink, visit_all)

    def refuse(self, moved_by, shrink=1.0, visit_all=False):
        """A step reviewed and dropped leaves no trace."""
        before = self.state()
        self.review(moved_by, shrink, visit_all)
        self.same_state(before)

    def products_at_centres(self, X):
        """Products of samples with the weights at which the near lists were built, (k, len(X)).

        Of the same bits, whichever other rows are asked for: no matrix product is.
        """
        weights = np.repeat(self.initial, self.copies, axis=0)
        weights += self.rows.centre_displacement(0, self.k)[:, : X.shape[1]]
        return np.array([[(x * w).sum() for x in X] for w in weights], dtype=self.dtype).reshape(self.k, len(X))

    def add_directions(self, X, *, of_each=False, level=None):
        """Further samples behind those there are; the patterns are those at the centres until `find_sides`.

        With `of_each` every row brings a near list, also those that share one.
        """
        z, n = self.products_at_centres(X), self.n
        directions = self._set_samples(np.concatenate([self.X, X]))
        with at_level(level):
            near = NearLists(self.thresholds[n:], self.inverse_norms[n:], self.shift, True, 0)
            z = z if of_each else z[self.rows.owns_list(0, self.k)]
            for first in range(0, len(z), 7):
                near.collect(z[first : first + 7])
            self.rows = self.rows.with_directions(directions, near)
        self.beta = np.concatenate([self.beta, np.zeros(len(X))])
        self.history = np.pad(self.history, ((0, 0), (0, len(X))))
        self.fires = self._pattern()
        self.step = self._lazy_step(self._position())

    def find_sides(self):
        """The step that goes nowhere and visits every row, which has to follow `add_directions`."""
        return self.move(np.zeros(self.n), visit_all=True)

    def fork(self):
        """The same rows and the same model: both may go on, if the rows of one are made anew."""
        other = copy.copy(self)
        other.terms = self.terms.copy()
        return other

    def state(self):
        return rows_state(self.rows)

    def same_state(self, before):
        after = self.state()
        for name, value in before.items():
            assert np.asarray(value).tobytes() == np.asarray(after[name]).tobytes(), name

    def check(self):
        """Every invariant, and everything that rows can be asked, against the model."""
        check_rows(self.rows, self.step, self.initial, self.copies, self.offsets)
        assert np.array_equal(self._pattern(), self.fires)
        assert self.rows.n_fired == np.count_nonzero(self.fires)
        assert np.array_equal(self.rows.diagonal, self.fires.sum(axis=0))
        slack = self.slack()
        outputs, moved, place = self._outputs(self.step)
        assert np.all(np.abs(place - self.displacement) <= slack.max(axis=1, initial=0.0)[:, None])
        signed, errors = self.signs[:, None] * self.fires, (self.fires * slack).sum(axis=0) + 8 * self.eps * self.k
        assert np.all(np.abs(outputs - (signed * self.distances()).sum(axis=0)) <= errors)
        assert np.all(np.abs(moved - (signed * (self.displacement @ self.directions.T)).sum(axis=0)) <= errors)
        cut = self.k // (2 * self.copies) * self.copies
        (first, _, upper), (second, _, lower) = self._outputs(self.step, 0, cut), self._outputs(self.step, cut, self.k)
        assert np.all(np.abs(first + second - outputs) <= 1e-12 * (1 + np.abs(first) + np.abs(second)))
        assert np.array_equal(np.concatenate([upper, lower]), place)
        written = np.full((self.k - cut, self.X.shape[1]), np.nan, dtype=self.dtype)
        self.rows.write_displacement(self.step, written, start=cut)
        assert np.array_equal(written, lower)
        self._check_compacted(place)
        self._check_stored(slack)
        self._check_gram()
        self._check_nearest(slack)

    def _check_compacted(self, place):
        """Rows from which all is left out but what tells displacements tell the same ones."""
        before = self.state()
        for kept in (np.arange(self.k), np.arange(1, self.k, 2), np.arange(0)):
            rows = self.rows.compacted(kept)
            written = np.full((kept.size, self.X.shape[1]), np.nan, dtype=self.dtype)
            rows.write_displacement(self.step, written)
            assert np.array_equal(written, place[kept])
            assert rows.nbytes <= self.rows.nbytes
        self.same_state(before)

    def _check_stored(self, slack):
        """The lists of each row say where it is."""
        state, coefficients = self.state(), np.zeros((self.k, self.n))
        n_active = state["row"]["n_active"]
        coefficients[np.repeat(np.arange(self.k), n_active), state["active_direction"]] = state["active_coefficient"]
        place = reference.lazy_displacement(
            self.origin,
            self.origin_decay,
            self.signs,
            self.decay[state["row"]["stamp"]],
            coefficients,
            self.fires,
            self.beta,
            self.directions,
        )
        assert np.all(np.abs(place - self.displacement) <= slack.max(axis=1, initial=0.0)[:, None])

    def _check_gram(self):
        counts = np.zeros((self.n, self.n), dtype=np.int32)
        cut = self.n // 2
        for start, stop in ((0, cut), (cut, self.n)):
            self.rows.count_fired(start, stop, counts)
        pairs = counts + counts.T
        np.fill_diagonal(pairs, counts.diagonal())
        assert np.array_equal(pairs, reference.pair_counts(self.fires))
        v = np.cos(np.arange(self.n))
        out = np.ones(self.n)
        self.rows.gram_product(self.X, v, out)
        data = self.X.astype(np.float64)
        expected = reference.gram_product(self.fires, data, v)
        size = reference.gram_product(self.fires, np.abs(data), np.abs(v))
        assert np.all(np.abs(out - 1 - expected) <= 1e-14 * (self.n + 8) * (size + 1))

    def _check_nearest(self, slack):
        """A certificate is for a while that is safe wherever the coefficients may go: no bound on it can be better."""
        truth = reference.lazy_rows_by_definition(self.start + self.displacement, self.directions, self.offsets)
        rate = self.fires.sum(axis=1).astype(np.float64)
        if self.exchange > 0:
            shrinking = self.displacement + self.signs[:, None] * ((self.fires * self.beta) @ self.directions)
            rate = np.maximum(rate, np.linalg.norm(shrinking, axis=1) / self.exchange)
        failure, slack = self.rows.failure_times.values, slack.max(axis=1, initial=0.0)
        for_ever = np.isinf(failure)
        assert np.all(rate[for_ever] * min(self.exchange, 1.0) <= slack[for_ever])
        may_move = (failure - self.clock)[~for_ever] * rate[~for_ever] * (1 - 1e-6)
        assert np.all(may_move <= (truth.nearest + 4 * slack)[~for_ever])
