from typing import Any, Literal

from sltrees._core._slot_table import SlotTable

class KeyedTree(SlotTable):
    def __init__(self, orientation: Literal["max", "min"]) -> None: ...
    @staticmethod
    def as_keys(keys: Any) -> list[Any]: ...
