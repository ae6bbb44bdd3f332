"""Where lazy rows are to be in a step, and what looking at them there found.

What the numbers mean is explained in rows/rows.h. Kernel classes: they validate nothing.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from sltrees._core._pools import grown
from sltrees._core._pools cimport address

cnp.import_array()


cdef class LazyStep:
    """Where the rows are to be: the coefficients of the directions, now and at each stamp.

    Parameters
    ----------
    coefficient : ndarray of shape (n,), float64
    change : ndarray of shape (n_stamps, n), float64
        `coefficient` minus what it was at each stamp.
    decay : ndarray of shape (n_stamps,), float64
        Product of the shrink factors since each stamp.
    origin_decay, clock, exchange, skin, margin, rounding, coefficient_rounding, resolution : float
        See rows/rows.h.
    """

    def __init__(self, coefficient, change, decay, *, origin_decay, clock, exchange, skin, margin, rounding,
                 coefficient_rounding, resolution):
        self.coefficient, self.change, self.decay = coefficient, change, decay
        self.step.coefficient = <double *> address(coefficient)
        self.step.change = <double *> address(change)
        self.step.decay = <double *> address(decay)
        self.step.origin_decay = origin_decay
        self.step.clock = clock
        self.step.exchange = exchange
        self.step.skin = skin
        self.step.margin = margin
        self.step.rounding = rounding
        self.step.coefficient_rounding = coefficient_rounding
        self.step.resolution = resolution

    @property
    def clock(self):
        """The clock's reading."""
        return self.step.clock

    @property
    def origin_decay(self):
        """Product of all shrink factors."""
        return self.step.origin_decay

    @property
    def skin(self):
        """Near lists hold y > -skin."""
        return self.step.skin

    @property
    def resolution(self):
        """A gap below this is rounding."""
        return self.step.resolution


cdef class LazyFindings:
    """What `LazyRows.review` found. Nothing of it is true of the rows before `LazyRows.apply`."""

    def __init__(self, int64_t n_reported, int64_t flips_room, int64_t n_directions, int64_t stride, dtype):
        self.n_reported = n_reported
        self._buffers = {
            "cleared_row": np.empty(n_reported, dtype=np.int32),
            "cleared_failure": np.empty(n_reported),
            "doubtful_row": np.empty(n_reported, dtype=np.int32),
            "visited_row": np.empty(n_reported, dtype=np.int32),
            "visited_flips": np.empty(n_reported, dtype=np.int64),
            "visited_reach": np.empty(n_reported, dtype=np.float32),
            "visited_gap": np.empty(n_reported, dtype=np.float32),
            "visited_nearest": np.empty(n_reported, dtype=np.int32),
            "visited_distance": np.empty(n_reported, dtype=np.float32),
            "visited_rest": np.empty(n_reported, dtype=np.float32),
            "strayed_row": np.empty(n_reported, dtype=np.int32),
            "strayed_rest": np.empty(n_reported),
            "strayed_size": np.empty(n_reported, dtype=np.float32),
            "strayed_displacement": np.empty((0, stride), dtype=dtype),
            "flip": np.empty(0, dtype=np.int32),
            "outputs": np.zeros(n_directions),
            "moved": np.zeros(n_directions),
        }
        self.strayed_stop = []
        self.strayed_direction = np.empty(0, dtype=np.int32)
        self.strayed_distance = np.empty(0, dtype=dtype)
        self._grow_flips(flips_room)
        self._point()

    def _grow_flips(self, int64_t room):
        self._buffers["flip"] = grown(self._buffers["flip"], self.found.n_flips, room)
        self.found.flips_room = room
        self._point()

    def _grow_strayed(self, int64_t room):
        name = "strayed_displacement"
        self._buffers[name] = grown(self._buffers[name], self.found.n_strayed, room)
        self.found.strayed_room = room
        self._point()

    def _reserve_strayed_lists(self, int64_t size, int64_t expected):
        if size > len(self.strayed_direction):
            size = max(size, expected, len(self.strayed_direction) * 3 // 2)
            larger = [grown(pool, self.strayed_used, size) for pool in (self.strayed_direction, self.strayed_distance)]
            self.strayed_direction, self.strayed_distance = larger

    def _point(self):
        """Point the C structure to the buffers."""
        buffers = self._buffers
        self.found.cleared_row = <int32_t *> address(buffers["cleared_row"])
        self.found.cleared_failure = <double *> address(buffers["cleared_failure"])
        self.found.doubtful_row = <int32_t *> address(buffers["doubtful_row"])
        self.found.visited_row = <int32_t *> address(buffers["visited_row"])
        self.found.visited_flips = <int64_t *> address(buffers["visited_flips"])
        self.found.visited_reach = <float *> address(buffers["visited_reach"])
        self.found.visited_nearest = <int32_t *> address(buffers["visited_nearest"])
        self.found.visited_distance = <float *> address(buffers["visited_distance"])
        self.found.visited_gap = <float *> address(buffers["visited_gap"])
        self.found.visited_rest = <float *> address(buffers["visited_rest"])
        self.found.strayed_row = <int32_t *> address(buffers["strayed_row"])
        self.found.strayed_rest = <double *> address(buffers["strayed_rest"])
        self.found.strayed_size = <float *> address(buffers["strayed_size"])
        self.found.strayed_displacement = address(buffers["strayed_displacement"])
        self.found.flip = <int32_t *> address(buffers["flip"])
        self.found.outputs = <double *> address(buffers["outputs"])
        self.found.moved = <double *> address(buffers["moved"])

    @property
    def n_cleared(self):
        """Rows whose certificate still holds."""
        return self.found.n_cleared

    @property
    def n_visited(self):
        """Rows visited, strayed ones included."""
        return self.found.n_visited

    @property
    def n_strayed(self):
        """Rows that left the skin of their near list."""
        return self.found.n_strayed

    @property
    def n_candidates(self):
        """Pairs evaluated."""
        return self.found.n_candidates

    @property
    def n_flips(self):
        """Pairs that begin or cease to fire."""
        return self.found.n_flips

    @property
    def squared_terms(self):
        """Sum over flips of the square of the sum of sizes that D_r is made of: rounding goes with it."""
        return self.found.squared_terms

    @property
    def nbytes(self):
        """Bytes written, about: memory that was reserved and never touched does not count."""
        cdef int64_t itemsize = self._buffers["strayed_displacement"].itemsize
        cdef int64_t stride = self._buffers["strayed_displacement"].shape[1]
        return (12 * self.found.n_cleared + 4 * self.found.n_doubtful + 36 * self.found.n_visited
                + 4 * self.found.n_flips + (16 + stride * itemsize) * self.found.n_strayed
                + (4 + itemsize) * self.strayed_used)

    @property
    def visited_rows(self):
        """Numbers of the rows visited."""
        return self._buffers["visited_row"][:self.found.n_visited]

    @property
    def strayed_rows(self):
        """Numbers of the rows that strayed."""
        return self._buffers["strayed_row"][:self.found.n_strayed]

    @property
    def strayed_displacement(self):
        """Displacements of the rows that strayed, padded."""
        return self._buffers["strayed_displacement"][:self.found.n_strayed]

    @property
    def flips(self):
        """Tuple (rows, directions, begins): row and direction of each flip, and whether the row begins to fire."""
        ends = self._buffers["visited_flips"][:self.found.n_visited]
        rows = np.repeat(self.visited_rows, np.diff(ends, prepend=0))
        code = self._buffers["flip"][:self.found.n_flips]
        return rows, np.where(code < 0, ~code, code), code >= 0

    @property
    def corrections(self):
        """What the flips add to sums over fired pairs: of sign y, and of sign <D_r, u_i>; two arrays of shape (n,)."""
        return self._buffers["outputs"], self._buffers["moved"]
