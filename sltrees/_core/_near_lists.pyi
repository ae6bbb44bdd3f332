from typing import Any

import numpy as np
import numpy.typing as npt

_Reals = npt.NDArray[np.floating[Any]]
_Doubles = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int32]

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
    def copy(self) -> NearLists: ...
    def trim(self) -> None: ...
    def ranges(self) -> tuple[_Numbers, _Numbers]: ...
