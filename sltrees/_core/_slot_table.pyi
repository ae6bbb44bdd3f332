from typing import Literal

import numpy as np
import numpy.typing as npt

from sltrees._core._threshold_tree import ThresholdTree

class SlotTable:
    tree: ThresholdTree
    worst: float
    def __init__(self, orientation: Literal["max", "min"]) -> None: ...
    def __len__(self) -> int: ...
    def used(self) -> npt.NDArray[np.int64]: ...
