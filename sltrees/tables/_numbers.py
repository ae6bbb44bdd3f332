"""Numbers as people write them: decimal commas, separators between thousands, units, currencies."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re

from sltrees.tables._cells import as_number

# Decimal sign and separator between thousands, in the order in which they are tried.
FORMATS = ((".", ""), (".", ","), (".", " "), (".", "'"), (",", ""), (",", "."), (",", " "), (",", "'"))
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"})
_CURRENCY = r"(?:US\$|R\$|[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR)"
_PARTS = re.compile(rf"([+-]?)({_CURRENCY})?\s*([+-]?[\d.,](?:[\d.,' ]*[\d.,])?(?:[eE][+-]?\d+)?)\s*(\D{{0,12}})")
_SIGNS_OF_UNITS = "%‰°€$£¥₹µΩ"


@dataclasses.dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : {".", ","}
    thousands : str
        The separator between groups of three digits, which may be there; "" for none.
    unit : str
        What may stand before or behind each number: a unit, or a currency.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def read(self, text):
        """The finite number that a text is, None if it is none. Cost: O(1)."""
        text = text.strip()
        if self == PLAIN:
            return as_number(text)
        text = text.translate(_SPACES)
        if self.unit:
            parts = _PARTS.fullmatch(text)
            if parts is not None and self.unit in (parts[2], parts[4]) and not (parts[2] and parts[4]):
                text = parts[1] + parts[3]
        if (self.decimal, self.thousands) == FORMATS[0]:
            return as_number(text)
        if _pattern(self.decimal, self.thousands).fullmatch(text) is None:
            return None
        return as_number((text.replace(self.thousands, "") if self.thousands else text).replace(self.decimal, "."))

    @property
    def in_words(self):
        """What is unusual about it, for messages."""
        names = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}
        said = ["decimal commas"] if self.decimal == "," else []
        said += [f"{names.get(self.thousands, repr(self.thousands))} between thousands"] if self.thousands else []
        said += [f"the unit {self.unit!r}"] if self.unit else []
        return " and ".join(said)


PLAIN = NumberFormat()


@functools.lru_cache
def _pattern(decimal, thousands):
    """Numbers with a decimal sign, and groups of three digits if there is a separator."""
    decimal, thousands = re.escape(decimal), re.escape(thousands)
    whole = rf"(?:[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+|\d+)" if thousands else r"\d+"
    return re.compile(rf"[+-]?(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def is_like_a_number(text, with_units=False):
    """Whether a text is a number in some format, with a currency or "%", or if asked for with any unit. Cost: O(1)."""
    if as_number(text) is not None:
        return True
    parts = _PARTS.fullmatch(text.translate(_SPACES))
    if parts is None or (parts[2] and parts[4]):
        return False
    if not with_units and any(letter.isalpha() for letter in parts[4]):
        return False
    return any(_pattern(*signs).fullmatch(parts[1] + parts[3]) is not None for signs in FORMATS)


@dataclasses.dataclass(frozen=True)
class Reading:
    """The formats in which most cells of a column are numbers, none better than another.

    Attributes
    ----------
    formats : tuple of NumberFormat
    n_numbers : int
        Cells that are numbers in each of them.
    """

    formats: tuple[NumberFormat, ...]
    n_numbers: int

    @property
    def decimals(self):
        """Decimal signs of these formats."""
        return {each.decimal for each in self.formats}

    def chosen(self, preferred):
        """The format to take.

        Parameters
        ----------
        preferred : {".", ",", None}
            The decimal sign of other columns.

        Returns
        -------
        NumberFormat
        """
        if preferred is not None and preferred in self.decimals:
            return next(each for each in self.formats if each.decimal == preferred)
        return self.formats[0]


def readings(cells, decimal=None, thousands=None):
    """The formats in which most of the cells are numbers.

    Parameters
    ----------
    cells : list of str
        None of them missing.
    decimal, thousands : str, optional
        What they must be: those of one of `FORMATS`.

    Returns
    -------
    Reading

    Notes
    -----
    A unit counts if half of the cells have it. Cost: O(cells) for each format.

    Examples
    --------
    >>> readings(["51,260.00", "1,200.50"]).formats
    (NumberFormat(decimal='.', thousands=',', unit=''),)
    >>> readings(["14,12 kg", "3 kg"]).chosen(None).read("14,12 kg")
    14.12
    """
    counted = sum(as_number(cell) is not None for cell in cells)
    if counted == len(cells) and decimal in (None, ".") and not _grouped(cells, "."):
        return Reading((PLAIN,), counted)
    unit = _unit_of(cells)
    allowed = [signs for signs in FORMATS if decimal in (None, signs[0]) and thousands in (None, signs[1])]
    formats = [NumberFormat(*signs, unit) for signs in allowed]
    counts = [sum(each.read(cell) is not None for cell in cells) for each in formats]
    most = max(counts)
    best = [each for each, count in zip(formats, counts, strict=True) if count == most]
    # of those with one decimal sign the plainest: a separator that none has is none
    plainest = {each.decimal: each for each in reversed(best)}
    return Reading(tuple(each for each in best if plainest[each.decimal] == each), most)


def vote(cells, reading):
    """The decimal sign that a column of numbers speaks for, None where it could be either. Cost: O(cells)."""
    if 2 * reading.n_numbers <= len(cells) or len(reading.decimals) > 1:
        return None
    (decimal,) = reading.decimals
    return decimal if any("." in cell or "," in cell for cell in cells) else None


def _grouped(cells, sign):
    """Whether a sign may be that between thousands: wherever it is, three digits follow, and no zero leads."""
    having = [cell.strip() for cell in cells if sign in cell]
    pattern = _pattern("," if sign == "." else ".", sign)
    return bool(having) and all(pattern.fullmatch(cell) is not None for cell in having)


def _unit_of(cells):
    """What stands before or behind the numbers in at least half of the cells; "" for nothing."""
    units = collections.Counter()
    for cell in cells:
        parts = _PARTS.fullmatch(cell.strip().translate(_SPACES))
        unit = "" if parts is None or (parts[2] and parts[4]) else (parts[2] or parts[4])
        if any(letter.isalpha() or letter in _SIGNS_OF_UNITS for letter in unit):
            units[unit] += 1
    if not units:
        return ""
    unit, count = units.most_common(1)[0]
    return unit if 2 * count >= len(cells) else ""
