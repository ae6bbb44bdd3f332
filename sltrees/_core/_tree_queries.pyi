from collections.abc import Callable, Iterator, Sequence
from types import EllipsisType
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from sltrees._core._wide_tree import WideTree

_Indices: TypeAlias = npt.NDArray[np.int64]
_Mask: TypeAlias = npt.NDArray[np.bool_]
_Values: TypeAlias = npt.NDArray[np.floating[Any]]
_Reals: TypeAlias = npt.NDArray[np.floating[Any] | np.integer[Any] | np.bool_] | Sequence[float]
_Integers: TypeAlias = npt.NDArray[np.integer[Any]] | Sequence[int]
_Integer: TypeAlias = int | np.integer[Any]
_Real: TypeAlias = SupportsFloat | SupportsIndex
_Many: TypeAlias = slice | EllipsisType | npt.NDArray[np.integer[Any] | np.bool_] | Sequence[int] | Sequence[bool]

WHILE_CHANGED: str

class TreeQueries(WideTree):
    @overload
    def query(
        self,
        threshold: _Real,
        start: _Integer = 0,
        stop: _Integer | None = None,
        *,
        return_values: Literal[False] = False,
        out: _Indices | None = None,
        inclusive: bool = False,
    ) -> _Indices: ...
    @overload
    def query(
        self,
        threshold: _Real,
        start: _Integer = 0,
        stop: _Integer | None = None,
        *,
        return_values: Literal[True],
        out: _Indices | None = None,
        inclusive: bool = False,
    ) -> tuple[_Indices, _Values]: ...
    def query_many(self, thresholds: _Reals) -> tuple[_Indices, _Indices]: ...
    def count(
        self, threshold: _Real, start: _Integer = 0, stop: _Integer | None = None, *, inclusive: bool = False
    ) -> int: ...
    def any(self, threshold: _Real, *, inclusive: bool = False) -> bool: ...
    def first(
        self, threshold: _Real, start: _Integer = 0, stop: _Integer | None = None, *, inclusive: bool = False
    ) -> int: ...
    def max(self, start: _Integer = 0, stop: _Integer | None = None) -> float: ...
    def argmax(self) -> int: ...
    def topk(self, k: _Integer) -> _Indices: ...
    @property
    def size(self) -> int: ...
    @property
    def shape(self) -> tuple[int]: ...
    def tolist(self) -> list[float]: ...
    def last(
        self, threshold: _Real, start: _Integer = 0, stop: _Integer | None = None, *, inclusive: bool = False
    ) -> int: ...
    @property
    def values(self) -> _Values: ...
    @property
    def dtype(self) -> np.dtype[np.floating[Any]]: ...
    @property
    def orientation(self) -> Literal["max", "min"]: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[float]: ...
    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any: ...
    @overload
    def __getitem__(self, key: _Integer, /) -> float: ...
    @overload
    def __getitem__(self, key: _Many, /) -> _Values: ...
