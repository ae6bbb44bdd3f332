import numpy as np
import numpy.typing as npt

def multiply_counts(
    products: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int32],
    start: int,
    stop: int,
    matrix: npt.NDArray[np.float64],
    row_sums: npt.NDArray[np.float64],
) -> None: ...
