from typing import Any

import numpy as np
import numpy.typing as npt

COEFFICIENTS: dict[str, tuple[int, int]]

def multiply_by_orthants(
    tile: npt.NDArray[np.floating[Any]],
    left: npt.NDArray[np.floating[Any]],
    right: npt.NDArray[np.floating[Any]],
    base: float,
    near: npt.NDArray[np.floating[Any]],
    octaves: npt.NDArray[np.floating[Any]],
    mirrored: bool,
) -> None: ...
def replace_by_slopes(
    tile: npt.NDArray[np.floating[Any]],
    base: float,
    near: npt.NDArray[np.floating[Any]],
    octaves: npt.NDArray[np.floating[Any]],
    mirrored: bool,
) -> None: ...
