"""What a column of a table can be, and the features that each kind becomes.

A column *reads* cells of text into values (numbers with NaN for what is missing, or words with None), and *encodes*
values as features. Frames, whose values have types already, are encoded alike.
"""

from __future__ import annotations

import collections
import dataclasses
import typing

import numpy as np

from sltrees.tables._cells import is_missing, plural, quoted
from sltrees.tables._dates import as_days, cycles
from sltrees.tables._numbers import PLAIN, NumberFormat
from sltrees.tables._rates import deal_into_parts, learn_rates, rates_of_others


@dataclasses.dataclass(frozen=True)
class NumericColumn:
    """A column of numbers; missing ones become the median of those seen in training."""

    kind: typing.ClassVar[str] = "numeric"
    name: str
    median: float
    number_format: NumberFormat = PLAIN
    flags_missing: bool = False  # whether a feature says which are missing: many were in training
    has_strays: bool = False  # whether cells that are no numbers count as missing: there were such in training

    @property
    def feature_names(self):
        """Names of the features that this column becomes."""
        return [self.name, f"{self.name}=NA"] if self.flags_missing else [self.name]

    def read(self, cells, lines, source):
        """Numbers, NaN where one is missing; and lines of what was noticed."""
        rule = "must hold a finite number, as in training"
        return _numbers(self, cells, lines, source, self.number_format.read, rule)

    def encode(self, values):
        """Features of shape (rows, features), and lines of what was noticed."""
        missing = np.isnan(values)
        features = [np.where(missing, self.median, values)] + ([missing] if self.flags_missing else [])
        n_missing = int(missing.sum())
        report = [f"{self.name}: {values_missing(n_missing)}, taken as {self.median:g}"] if n_missing else []
        return np.column_stack(features).astype(np.float64), report


@dataclasses.dataclass(frozen=True)
class DateColumn:
    """A column of dates: days since 1970, and sines and cosines of where in the year, the week and the day they are."""

    kind: typing.ClassVar[str] = "date"
    name: str
    median: float  # days since 1970
    date_format: str
    has_time: bool = False
    flags_missing: bool = False
    has_strays: bool = False

    @property
    def feature_names(self):
        """Names of the features that this column becomes."""
        turns = ["year", "week"] + (["day"] if self.has_time else [])
        parts = [f"{self.name}: {part} of the {turn}" for turn in turns for part in ("sine", "cosine")]
        return [self.name, *parts] + ([f"{self.name}=NA"] if self.flags_missing else [])

    def read(self, cells, lines, source):
        """Days since 1970, NaN where a date is missing; and lines of what was noticed."""
        rule = "must hold dates, as in training"
        return _numbers(self, cells, lines, source, lambda text: as_days(text, self.date_format), rule)

    def encode(self, values):
        """Features of shape (rows, features), and lines of what was noticed."""
        missing = np.isnan(values)
        features = [np.where(missing, self.median, values), cycles(values, self.has_time)]
        features += [missing] if self.flags_missing else []
        n_missing = int(missing.sum())
        report = [f"{self.name}: {values_missing(n_missing)}, taken as the date in the middle"] if n_missing else []
        return np.column_stack(features).astype(np.float64), report


class _Words:
    """What columns of words have in common."""

    def read(self, cells, lines, source):
        """Words, None where one is missing; nothing is noticed here."""
        return np.array([None if is_missing(text) else text for text in cells], dtype=object), []

    def codes(self, values):
        """Places among the categories, the place behind them for what is missing, -1 for others; and the report."""
        places = {category: place for place, category in enumerate(self.categories)}
        unseen, n_missing = collections.Counter(), 0
        codes = np.empty(len(values), dtype=np.int64)
        for row, value in enumerate(values):
            if value is None:
                n_missing += 1
                codes[row] = len(self.categories) if self.missing_category else -1
            else:
                codes[row] = places.get(value, -1)
                if codes[row] < 0:
                    unseen[value] += 1
        report = []
        if unseen:
            texts = quoted(text for text, _ in unseen.most_common())
            said = f"{plural(unseen.total(), 'value')} not seen in training ({texts})"
            report.append(f"{self.name}: {said}, taken as {self.unseen_is}")
        if n_missing and not self.missing_category:
            report.append(f"{self.name}: {values_missing(n_missing)}, taken as {self.unseen_is} in training")
        return codes, report


@dataclasses.dataclass(frozen=True)
class CategoricalColumn(_Words):
    """A column of words: a column of zeros and ones for each of those seen in training."""

    kind: typing.ClassVar[str] = "categorical"
    unseen_is: typing.ClassVar[str] = "none of those seen"
    name: str
    categories: tuple[str, ...]
    missing_category: bool  # whether a missing value is a category of its own: it was there in training

    @property
    def feature_names(self):
        """Names of the features that this column becomes; no category is called NA, which is what is missing."""
        names = [*self.categories, "NA"] if self.missing_category else self.categories
        return [f"{self.name}={category}" for category in names]

    def encode(self, values):
        """Features of shape (rows, categories), and lines of what was noticed."""
        codes, report = self.codes(values)
        features = np.zeros((len(values), len(self.feature_names)))
        known = np.flatnonzero(codes >= 0)
        features[known, codes[known]] = 1.0
        return features, report


@dataclasses.dataclass(frozen=True)
class RatedColumn(_Words):
    """A column of many different words: each is what the target is with it in training, by the mean, drawn to that of
    all the more the fewer rows have it (target encoding)."""

    kind: typing.ClassVar[str] = "target encoded"
    unseen_is: typing.ClassVar[str] = "the mean of those seen"
    name: str
    categories: tuple[str, ...]
    missing_category: bool
    rates: tuple[tuple[float, ...], ...]  # of each category, for each output
    mean: tuple[float, ...]  # for each output

    @property
    def feature_names(self):
        """Names of the features that this column becomes."""
        if len(self.mean) == 1:
            return [f"{self.name}: mean target"]
        return [f"{self.name}: mean target {output}" for output in range(1, len(self.mean) + 1)]

    def encode(self, values):
        """Features of shape (rows, outputs), and lines of what was noticed."""
        codes, report = self.codes(values)
        return np.array([*self.rates, self.mean])[codes], report


@dataclasses.dataclass(frozen=True)
class LeftOutColumn:
    """A column that says nothing: all values are missing, or none occurs twice; or that nobody wants."""

    kind: typing.ClassVar[str] = "left out"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class IdentifierColumn:
    """A column that names rows: it is not learned from, and goes along with predictions."""

    kind: typing.ClassVar[str] = "identifier"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str


@dataclasses.dataclass(frozen=True)
class WeightColumn:
    """A column of weights of rows."""

    kind: typing.ClassVar[str] = "weight"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str
    number_format: NumberFormat = PLAIN


@dataclasses.dataclass(frozen=True)
class TargetColumn:
    """The column to be predicted, which is no feature."""

    kind: typing.ClassVar[str] = "target"
    feature_names: typing.ClassVar[tuple[str, ...]] = ()
    name: str
    number_format: NumberFormat = PLAIN


KINDS = {
    cls.kind: cls
    for cls in (
        NumericColumn,
        DateColumn,
        CategoricalColumn,
        RatedColumn,
        LeftOutColumn,
        IdentifierColumn,
        WeightColumn,
        TargetColumn,
    )
}


def _numbers(column, cells, lines, source, read, rule):
    """What `read` makes of cells, NaN for what is missing; and lines of what was noticed."""
    values, strays = np.full(len(cells), np.nan), []
    for row, text in enumerate(cells):
        number = read(text)
        if number is not None:
            values[row] = number
        elif not is_missing(text):
            if not column.has_strays:
                raise ValueError(f"{source}, line {lines[row]}: column {column.name!r} {rule}, got {text!r}")
            strays.append(row)
    return values, [strays_in_words(column, cells, lines, strays)] if strays else []


def strays_in_words(column, cells, lines, rows):
    """That some cells of a column of numbers or dates are none, and what becomes of them."""
    what = "number" if column.kind == "numeric" else "date"
    verb = f"is no {what}" if len(rows) == 1 else f"are no {what}s"
    first = f"{cells[rows[0]]!r} on line {lines[rows[0]]}"
    return f"{column.name}: {plural(len(rows), 'value')} that {verb} ({first}), taken as missing"


def values_missing(count):
    """How many values are missing: 1 value missing, 2 values missing."""
    return f"{plural(count, 'value')} missing"


def encode_in_training(columns, values, rated, targets=None, weights=None):
    """Features of rows that are learned from, of which those of some columns of words are rates of their categories.

    Parameters
    ----------
    columns : list
    values : list of ndarray of shape (rows,)
        Of each column, as it wants them.
    rated : set of int
        The places of columns of words that become rates of their categories.
    targets : ndarray of shape (rows, outputs), optional
    weights : ndarray of shape (rows,), optional
        Only ratios count. Of rows of weight 0 no rates are learned; they are in part 0.

    Returns
    -------
    columns : list
        With a RatedColumn for each that is rated.
    features : ndarray of shape (rows, features)
        Rates of rows are those that were learned without their part.
    coded : tuple (places, codes, parts) or None
        The features that are rates, shape (rated, outputs), and the category and part of each row, shape (rows, rated).
        None if there are none.

    Notes
    -----
    The same, bit for bit, for the same rows in another order. Cost: O(cells + rows x (features + log rows)).
    """
    columns, coded, d = list(columns), [], 0
    codes = {place: columns[place].codes(values[place])[0] for place in sorted(rated)}
    features = {
        place: column.encode(values[place])[0]
        for place, column in enumerate(columns)
        if column.feature_names and place not in codes
    }
    if codes:
        n_rows = len(targets)
        weights = np.ones(n_rows) if weights is None or not weights.any() else weights
        keys = [*codes.values(), *(feature for of_column in features.values() for feature in of_column.T)]
        order = np.lexsort((weights, *targets.T, *keys))  # of rows, and equal ones may change places
        order = order[weights[order] > 0]
    for place, column in enumerate(columns):
        if place in codes:
            columns[place], features[place], parts = _with_rates(column, codes[place], targets, weights, order)
            coded.append((d + np.arange(targets.shape[1]), codes[place], parts))
        d += len(columns[place].feature_names)
    features = [features[place] for place in sorted(features)]
    features = np.hstack(features) if features else np.zeros((0, 0))
    if not coded:
        return columns, features, None
    places, codes, parts = (np.array(arrays) for arrays in zip(*coded, strict=True))
    return columns, features, (places, codes.T, parts.T)


def _with_rates(column, codes, targets, weights, order):
    """A column of words with the rates of its categories, its features in training, and the parts of rows.

    Rates are those of the rows of `order`, which does not depend on that in which rows came.
    """
    samples = codes[order], targets[order], weights[order] / weights[order].mean()
    n_categories = len(column.categories) + column.missing_category
    parts = np.zeros(len(codes), dtype=np.int64)
    parts[order] = deal_into_parts(*samples)
    rates, mean = learn_rates(*samples, n_categories)
    features = rates[codes]
    features[order] = rates_of_others(*samples, n_categories, parts[order])
    names = column.name, column.categories, column.missing_category
    return RatedColumn(*names, tuple(map(tuple, rates.tolist())), tuple(mean.tolist())), features, parts
