from typing import Literal

import numpy as np
import numpy.typing as npt

from sltrees._core._slot_table import SlotTable

class IntegerKeyedTree(SlotTable):
    def __init__(self, orientation: Literal["max", "min"]) -> None: ...
    @staticmethod
    def as_keys(keys: npt.ArrayLike) -> npt.NDArray[np.int64]: ...
