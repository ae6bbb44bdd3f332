from typing import Any

import numpy as np
import numpy.typing as npt

from sltrees._core._lazy_findings import LazyFindings, LazyStep
from sltrees._core._near_lists import NearLists
from sltrees._core._row_store import RowStore
from sltrees._core._threshold_tree import ThresholdTree

_Reals = npt.NDArray[np.floating[Any]]
_Doubles = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int32]

class LazyRows(RowStore):
    def __init__(
        self,
        directions: _Reals,
        signs: _Reals,
        near: NearLists,
        copies: int,
        skin: float,
        origin: _Reals | None,
    ) -> None: ...
    @property
    def failure_times(self) -> ThresholdTree: ...
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
    def with_directions(self, directions: _Reals, near: NearLists) -> LazyRows: ...
    def count_fired(self, start: int, stop: int, counts: _Numbers) -> None: ...
    def count_flips(self, found: LazyFindings, start: int, stop: int, counts: _Numbers) -> None: ...
    def count_since_drawn(self, initial: _Reals, copies: int, offset: _Doubles) -> npt.NDArray[np.int64]: ...
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
    def compacted(self, kept: npt.NDArray[np.int64]) -> LazyRows: ...
    def gram_product(self, data: _Reals, v: _Doubles, out: _Doubles) -> None: ...
