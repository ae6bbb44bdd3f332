from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Int64: TypeAlias = npt.NDArray[np.int64]
_Int32: TypeAlias = npt.NDArray[np.int32]
_Float64: TypeAlias = npt.NDArray[np.float64]
_Reals: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 or float64, the same for all arguments of a call

def add_outputs(indptr: _Int64, samples: _Int32, z: _Reals, signs: _Reals, shift: float, out: _Float64) -> None: ...
def add_dense_outputs(z: _Reals, signs: _Reals, shift: float, out: _Float64) -> None: ...
def add_pair_counts(indptr: _Int64, samples: _Int32, start: int, stop: int, counts: _Int32) -> None: ...
def add_jacobian_product(
    indptr: _Int64, samples: _Int32, signs: _Reals, rows: _Reals, data: _Reals, out: _Float64
) -> None: ...
def shrink_and_step(
    indptr: _Int64,
    samples: _Int32,
    signs: _Reals,
    coefficients: _Float64,
    data: _Reals,
    shrink: float,
    scale: float,
    neurons: _Int64,
    displacement: _Reals,
) -> None: ...
def count_flips(indptr_a: _Int64, samples_a: _Int32, indptr_b: _Int64, samples_b: _Int32) -> int: ...
