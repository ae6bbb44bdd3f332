from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Int64: TypeAlias = npt.NDArray[np.int64]
_Int32: TypeAlias = npt.NDArray[np.int32]
_Float64: TypeAlias = npt.NDArray[np.float64]
_Reals: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 or float64

ROWS_AT_ONCE: int

def padded_length(d: int) -> int: ...
def transposed(indptr: _Int64, columns: _Int32, n_columns: int) -> tuple[_Int64, _Int32]: ...
def gather(
    indptr: _Int64, samples: _Int32, start: int, stop: int, data: _Reals, weights: _Float64, sums: _Float64
) -> None: ...
def collect(
    indptr: _Int64, neurons: _Int32, start: int, stop: int, sums: _Float64, data: _Reals, out: _Float64
) -> None: ...
def add_columns(
    neurons_indptr: _Int64, neurons: _Int32, samples_indptr: _Int64, samples: _Int32, columns: _Int64, counts: _Int32
) -> None: ...
