import numpy as np
import numpy.typing as npt

_Int64 = npt.NDArray[np.int64]
_Int32 = npt.NDArray[np.int32]
_Bits = npt.NDArray[np.uint64]

NEURONS_OF_BLOCK: int

def fired_bits(indptr: _Int64, samples: _Int32, n: int) -> _Bits: ...
def flip_bits(bits: _Bits, neurons: _Int32, samples: _Int32) -> None: ...
def add_common(bits: _Bits, start: int, stop: int, sign: int, counts: _Int32) -> None: ...
