"""What was decided of columns, as JSON can hold it, and back; what comes back is not trusted."""

from __future__ import annotations

import dataclasses
import math

from sltrees.tables._columns import KINDS
from sltrees.tables._dates import DATE_FORMATS
from sltrees.tables._numbers import FORMATS, NumberFormat

_FORMAT = 2
_NO_STATE = "not the state of a table encoder"
_FLAGS = {"missing_category", "flags_missing", "has_strays", "has_time"}
_NEWER = {"number_format", "flags_missing", "has_strays"}  # that columns of format 1 do not have


def state_of(columns, has_header):
    """What was decided: a dict of dicts, lists, text and numbers. Cost: O(columns + categories)."""
    states = [_listed({"kind": column.kind, **dataclasses.asdict(column)}) for column in columns]
    return {"format": _FORMAT, "has_header": has_header, "columns": states}


def _listed(value):
    """The same with lists for tuples."""
    if isinstance(value, dict):
        return {name: _listed(entry) for name, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, (tuple, list)) else value


def columns_of(state):
    """Columns and `has_header` of a state.

    Raises
    ------
    ValueError
        If `state_of` cannot have returned it, now or in an earlier version.

    Notes
    -----
    Cost: O(columns + categories).
    """
    _check_keys(state, {"format", "has_header", "columns"})
    version = state["format"]
    if version not in (1, _FORMAT) or isinstance(version, bool):
        raise ValueError(f"{_NO_STATE}: format must be {_FORMAT}, or 1, got {version!r}")
    if not isinstance(state["has_header"], bool) or not isinstance(state["columns"], list):
        raise ValueError(f"{_NO_STATE}: has_header must be a truth value, and columns a list")
    columns = [_column_of(entry, version) for entry in state["columns"]]
    if len({column.name for column in columns}) < len(columns):
        raise ValueError(f"{_NO_STATE}: names of columns must be unique")
    for kind in ("target", "weight"):
        if sum(column.kind == kind for column in columns) > 1:
            raise ValueError(f"{_NO_STATE}: there must be one {kind} at most")
    if not any(column.feature_names for column in columns):
        raise ValueError(f"{_NO_STATE}: there must be a column to learn from")
    return columns, state["has_header"]


def _check_keys(state, keys):
    if not isinstance(state, dict) or state.keys() != keys:
        got = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{_NO_STATE}: must have the keys {', '.join(sorted(keys))}, got {got}")


def _column_of(state, version):
    """A column from its state, every field checked."""
    kind = state.get("kind") if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{_NO_STATE}: kind of a column must be one of {', '.join(KINDS)}, got {kind!r}")
    fields = {field.name for field in dataclasses.fields(KINDS[kind])}
    fields -= _NEWER if version == 1 else set()
    _check_keys(state, fields | {"kind"})
    values = {name: state[name] for name in fields}
    name = values["name"]
    for field in sorted(fields & {"name", "reason"}):
        if not isinstance(values[field], str):
            raise ValueError(f"{_NO_STATE}: {field} of a column must be text, got {values[field]!r}")
    for field in sorted(fields & _FLAGS):
        if not isinstance(values[field], bool):
            raise ValueError(f"{_NO_STATE}: {field} of column {name!r} must be a truth value")
    if "median" in fields and not _is_number(values["median"]):
        raise ValueError(f"{_NO_STATE}: median of column {name!r} must be a finite number, got {values['median']!r}")
    if "date_format" in fields and values["date_format"] not in DATE_FORMATS:
        raise ValueError(f"{_NO_STATE}: date_format of column {name!r} must be one of {', '.join(DATE_FORMATS)}")
    if "number_format" in fields:
        values["number_format"] = _number_format_of(values["number_format"], name)
    if "categories" in fields:
        values["categories"] = _categories_of(values["categories"], name)
    if "rates" in fields:
        n_rates = len(values["categories"]) + values["missing_category"]
        values["mean"], values["rates"] = _rates_of(values["mean"], values["rates"], n_rates, name)
    return KINDS[kind](**values)


def _is_number(value):
    return isinstance(value, float) and math.isfinite(value)


def _number_format_of(state, name):
    _check_keys(state, {"decimal", "thousands", "unit"})
    texts = [state[field] for field in ("decimal", "thousands", "unit")]
    if not all(isinstance(text, str) for text in texts) or tuple(texts[:2]) not in FORMATS:
        raise ValueError(f"{_NO_STATE}: number_format of column {name!r} is none, got {state!r}")
    return NumberFormat(*texts)


def _categories_of(categories, name):
    if not isinstance(categories, list) or not all(isinstance(text, str) and text.strip() for text in categories):
        raise ValueError(f"{_NO_STATE}: categories of column {name!r} must be a list of texts, none of them blank")
    if not categories or categories != sorted(set(categories)):
        raise ValueError(f"{_NO_STATE}: categories of column {name!r} must be sorted and different")
    return tuple(categories)


def _rates_of(mean, rates, n_rates, name):
    rows = [mean, *rates] if isinstance(rates, list) and len(rates) == n_rates else [None]
    if not all(isinstance(row, list) and row and len(row) == len(rows[0]) for row in rows) or not all(
        _is_number(rate) for row in rows for rate in row
    ):
        raise ValueError(
            f"{_NO_STATE}: rates of column {name!r} must be {n_rates} lists of numbers, as its mean is one"
        )
    return tuple(mean), tuple(map(tuple, rates))
