"""Values as JSON can say them, and back.

None, bool, str, int, float, and lists and dicts of them. Floats that JSON has no number for are written as
{"$float": "7ff8000000000000"} (their bits), integers of 64 bits and more as {"$int": "-1f"} (hexadecimal); keys that
begin with "$" are not for others.
"""

from __future__ import annotations

import json
import math
import re
import struct

MAX_DEPTH = 100  # of lists and dicts in each other


def encoded(value, where, depth=0):
    """A value as JSON can say it; TypeError or ValueError where it cannot."""
    if depth > MAX_DEPTH:
        raise ValueError(f"header must not be nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        value = int(value)
        return value if -(2**63) < value < 2**63 else {"$int": f"{value:x}"}
    if isinstance(value, float):
        value = float(value)
        return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if isinstance(value, (list, tuple)):
        return [encoded(item, f"{where}[{k}]", depth + 1) for k, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"keys of {where} must be str, got {key!r}")
            if key.startswith("$"):
                raise ValueError(f"keys of {where} must not begin with '$', got {key!r}")
        return {str.__str__(key): encoded(item, f"{where}[{key!r}]", depth + 1) for key, item in value.items()}
    raise TypeError(f"{where} must be None, bool, str, int, float, list or dict, got {type(value).__name__}")


def to_json(content):
    """The bytes of an encoded value. Cost: O(bytes)."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def from_json(document):
    """The value of which these are the bytes; ValueError or RecursionError if they are no value's. Cost: O(bytes)."""
    return json.loads(
        document.decode("ascii"),
        object_pairs_hook=_decoded_object,
        parse_int=_decoded_integer,
        parse_float=_decoded_float,
        parse_constant=_refused_constant,
    )


def _decoded_object(pairs):
    """What a JSON object means."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key comes twice")
    special = [key for key in content if key.startswith("$")]
    if not special:
        return content
    if len(content) == 1 and isinstance(text := content[special[0]], str):
        if special == ["$int"] and re.fullmatch(r"-?[0-9a-f]+", text):
            return int(text, 16)
        if special == ["$float"] and re.fullmatch(r"[0-9a-f]{16}", text):
            return struct.unpack(">d", bytes.fromhex(text))[0]
    raise ValueError(f"{special[0]!r} means nothing here")


def _decoded_integer(text):
    if len(text) > 20:  # larger ones are written in another way, and take long to read in this one
        raise ValueError("an integer is too long")
    return int(text)


def _decoded_float(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _refused_constant(text):
    raise ValueError(f"{text} is no JSON")
