from typing import Any

import numpy as np
import numpy.typing as npt

from sltrees._core._threshold_tree import ThresholdTree

_Reals = npt.NDArray[np.floating[Any]]
_Doubles = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int32]

ROW: np.dtype[np.void]

def padded(rows: _Reals) -> _Reals: ...

class NearLists:
    direction: _Numbers
    distance: _Reals
    fired: _Numbers
    stop: list[npt.NDArray[np.int64]]
    n_fired: list[_Numbers]
    nearest: list[_Doubles]
    used: int
    n_listed: int
    def __init__(
        self, thresholds: _Reals, inverse_norms: _Reals, shift: float, keep_all: bool, expected: int
    ) -> None: ...
    def collect(self, z: _Reals) -> _Numbers: ...
    def clear(self) -> None: ...
    def trim(self) -> None: ...
    def ranges(self) -> tuple[_Numbers, _Numbers]: ...

class LazyStep:
    def __init__(
        self,
        coefficient: _Doubles,
        change: _Doubles,
        decay: _Doubles,
        *,
        origin_decay: float,
        clock: float,
        exchange: float,
        skin: float,
        margin: float,
        rounding: float,
        coefficient_rounding: float,
        resolution: float,
    ) -> None: ...
    @property
    def coefficient(self) -> _Doubles: ...
    @property
    def change(self) -> _Doubles: ...
    @property
    def decay(self) -> _Doubles: ...
    @property
    def clock(self) -> float: ...

class LazyFindings:
    def __init__(
        self, n_reported: int, flips_room: int, n_directions: int, stride: int, dtype: npt.DTypeLike
    ) -> None: ...
    @property
    def n_reported(self) -> int: ...
    @property
    def n_cleared(self) -> int: ...
    @property
    def n_visited(self) -> int: ...
    @property
    def n_strayed(self) -> int: ...
    @property
    def n_candidates(self) -> int: ...
    @property
    def n_flips(self) -> int: ...
    @property
    def squared_terms(self) -> float: ...
    @property
    def visited_rows(self) -> _Numbers: ...
    @property
    def strayed_rows(self) -> _Numbers: ...
    @property
    def strayed_displacement(self) -> _Reals: ...
    @property
    def strayed_stop(self) -> list[npt.NDArray[np.int64]]: ...
    @property
    def strayed_direction(self) -> _Numbers: ...
    @property
    def strayed_distance(self) -> _Reals: ...
    @property
    def strayed_used(self) -> int: ...
    @property
    def flips(self) -> tuple[_Numbers, _Numbers, npt.NDArray[np.bool_]]: ...
    @property
    def corrections(self) -> tuple[_Doubles, _Doubles]: ...

class LazyRows:
    def __init__(
        self,
        directions: _Reals,
        signs: _Reals,
        near_start: _Numbers,
        near_stop: _Numbers,
        near_direction: _Numbers,
        near_distance: _Reals,
        near_used: int,
        n_fired: _Numbers,
        fired: _Numbers,
        copies: int,
        gap: _Reals,
        origin: _Reals | None,
    ) -> None: ...
    @property
    def failure_times(self) -> ThresholdTree: ...
    @property
    def dtype(self) -> np.dtype[np.floating[Any]]: ...
    @property
    def n_fired(self) -> int: ...
    @property
    def pattern(self) -> tuple[npt.NDArray[np.int64], _Numbers]: ...
    @property
    def diagonal(self) -> npt.NDArray[np.intp]: ...
    @property
    def n_near(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def review(self, step: LazyStep, visit_all: bool = False) -> LazyFindings: ...
    def collect_strayed(
        self,
        step: LazyStep,
        found: LazyFindings,
        first: int,
        z: _Reals,
        thresholds: _Reals,
        inverse_norms: _Reals,
        shift: float,
    ) -> None: ...
    def apply(self, step: LazyStep, found: LazyFindings, stamp: int) -> None: ...
    def count_fired(self, start: int, stop: int, counts: _Numbers) -> None: ...
    def count_flips(self, found: LazyFindings, start: int, stop: int, counts: _Numbers) -> None: ...
    def add_outputs(
        self,
        step: LazyStep,
        initial: _Reals,
        copies: int,
        offset: _Doubles,
        outputs: _Doubles,
        moved: _Doubles,
        displacement: _Reals | None = None,
        start: int = 0,
        stop: int = -1,
    ) -> None: ...
    def write_displacement(self, step: LazyStep, displacement: _Reals, start: int = 0) -> None: ...
    def gram_product(self, data: _Reals, v: _Doubles, out: _Doubles) -> None: ...
