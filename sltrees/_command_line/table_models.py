"""Files of models that were fitted to tables: an encoder of columns, an estimator, and what is known of both."""

from __future__ import annotations

import dataclasses
import math
import typing

from sltrees._command_line.quality import in_words
from sltrees._versions import VERSION
from sltrees.files.archive import read_archive, write_archive
from sltrees.files.contents import making_sense
from sltrees.tables import TableEncoder
from sltrees.tables._cells import plural
from sltrees.tables._targets import TASKS

KIND = "table-model"
MAX_CLASSES_SHOWN, MAX_COLUMNS_SHOWN = 10, 10
LEAST_EFFECT = 0.005  # that is shown


@dataclasses.dataclass
class TableModel:
    """What a model file holds.

    Attributes
    ----------
    encoder : TableEncoder
        It also knows the target.
    task : {"regression", "classification"}
    reason : str
        Why this task.
    n_rows : int
        Rows learned from.
    classes : list or None
        Labels, of text or numbers; None for regression.
    model : str
        The model that was chosen.
    score : float or None
        Its cross-validated score.
    selection : list of dict
        The table of candidates, one each.
    interrupted : bool
        Whether fitting was cut short.
    quality : dict
        How good predictions of rows left out were, see `sltrees._command_line.quality`; empty if unknown.
    effects : dict of str to float
        The share of the variance of outputs that goes with each column.
    written_by : str
        Version of the package.
    estimator : NewtonRegressor or NewtonClassifier, optional
        Absent where only the header was read.
    """

    encoder: TableEncoder
    task: str
    reason: str
    n_rows: int
    classes: list | None
    model: str
    score: float | None
    selection: list[dict]
    interrupted: bool
    quality: dict = dataclasses.field(default_factory=dict)
    effects: dict[str, float] = dataclasses.field(default_factory=dict)
    loss: str = "squared"
    written_by: str = VERSION
    estimator: typing.Any = None

    @property
    def target(self):
        """Name of the column to be predicted."""
        return self.encoder.target

    @property
    def score_name(self):
        """What the score is."""
        if self.task == "classification":
            return "accuracy"
        return "D^2" if self.loss in ("quantile", "poisson", "gamma") else "R^2"

    # ------------------------------------------------------------------ files

    def save(self, path):
        """Write the model to a file, in one instant."""
        from sltrees.estimators.packing import pack_estimator

        names = [field.name for field in dataclasses.fields(self) if field.name not in ("encoder", "estimator")]
        estimator, arrays = pack_estimator(self.estimator)
        header = {name: getattr(self, name) for name in names}
        write_archive(path, KIND, {**header, "encoder": self.encoder.to_dict(), "estimator": estimator}, arrays)

    @classmethod
    def load(cls, path):
        """Read a model that can predict; ArchiveError if the file holds none."""
        from sltrees.estimators import NewtonClassifier, NewtonRegressor
        from sltrees.estimators.packing import unpack_estimator

        _, header, arrays, _ = read_archive(path, KIND)
        with making_sense(path, "model of a table"):
            model = cls.of_header(header)
            estimator = NewtonClassifier if model.task == "classification" else NewtonRegressor
            model.estimator = unpack_estimator(header["estimator"], arrays, estimator)
            model._check_estimator()
        return model

    @classmethod
    def describe(cls, path, header):
        """The model that a header describes, without its estimator; ArchiveError if it describes none."""
        with making_sense(path, "model of a table"):
            return cls.of_header(header)

    @classmethod
    def of_header(cls, header):
        """Make a model without its estimator from the header of a file; ValueError if it makes no sense."""
        fields = {field.name for field in dataclasses.fields(cls)}
        header = {"quality": {}, "effects": {}, "loss": "squared"} | header  # files of older versions do not have them
        if header.keys() != fields:
            raise ValueError(f"its header must have {', '.join(sorted(fields))}, got {', '.join(sorted(header))}")
        classes, score, selection = header["classes"], header["score"], header["selection"]
        checks = {
            "task": header["task"] in TASKS,
            "n_rows": type(header["n_rows"]) is int and header["n_rows"] >= 1,
            "classes": _is_labels(classes) if header["task"] == "classification" else classes is None,
            "score": score is None or (isinstance(score, float) and math.isfinite(score)),
            "selection": isinstance(selection, list) and all(isinstance(entry, dict) for entry in selection),
            "interrupted": isinstance(header["interrupted"], bool),
            "estimator": isinstance(header["estimator"], dict),
            "quality": isinstance(header["quality"], dict),
            "effects": isinstance(header["effects"], dict) and all(map(_is_number, header["effects"].values())),
        }
        checks |= {name: isinstance(header[name], str) for name in ("reason", "model", "written_by", "loss")}
        wrong = [name for name, right in checks.items() if not right]
        if wrong:
            raise ValueError(f"its header has values that are not possible: {', '.join(wrong)}")
        encoder = TableEncoder.from_dict(header["encoder"])
        if encoder.target is None:
            raise ValueError("it has no target")
        return cls(**{**header, "encoder": encoder, "estimator": None})

    def _check_estimator(self):
        n_features = len(self.encoder.feature_names_out)
        if self.estimator.n_features_in_ != n_features:
            raise ValueError(f"its estimator has {self.estimator.n_features_in_} features, its columns {n_features}")
        classes = getattr(self.estimator, "classes_", None)
        if (None if classes is None else classes.tolist()) != self.classes:
            raise ValueError("its estimator has other classes")

    # ------------------------------------------------------------------ descriptions

    def as_dict(self):
        """What is known of the model, as JSON can hold it."""
        return {
            "task": self.task,
            "reason": self.reason,
            "target": self.target,
            "n_rows": self.n_rows,
            "header": self.encoder.has_header_,
            "columns": {column.name: column.kind for column in self.encoder.columns_},
            "features": self.encoder.feature_names_out,
            "classes": self.classes,
            "model": self.model,
            "loss": self.loss,
            "score": self.score,
            "score_name": self.score_name,
            "selection": self.selection,
            "interrupted": self.interrupted,
            "quality": self.quality,
            "effects": self.effects,
            "written_by": self.written_by,
        }

    def rows(self):
        """What is known of the model, as names and values to be printed."""
        rows = [("target", self.target), ("task", f"{self.task}, because {self.reason}"), ("rows", f"{self.n_rows:,}")]
        used = [column.name for column in self.encoder.columns_ if column.feature_names]
        rows.append(("columns", f"{len(used)}, made into {plural(len(self.encoder.feature_names_out), 'feature')}"))
        if self.classes is not None:
            rest = len(self.classes) - MAX_CLASSES_SHOWN
            shown = ", ".join(map(str, self.classes[:MAX_CLASSES_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
            rows.append(("classes", f"{len(self.classes)}: {shown}"))
        rows.append(("model", self.model + (", of a fit that was interrupted" if self.interrupted else "")))
        if self.loss != "squared":
            rows.append(("loss", self.loss))
        if self.score is not None:
            rows.append(("score", f"{self.score:.4f} (cross-validated {self.score_name})"))
        rows += in_words(self.quality)
        if self.effects:
            rows.append(("matters", effects_in_words(self.effects)))
        return [*rows, *self._left_out()]

    def _left_out(self):
        """The columns that are not learned from, and why."""
        reasons = {
            column.name: getattr(column, "reason", "it names the rows")
            for column in self.encoder.columns_
            if column.kind in ("left out", "identifier")
        }
        shown = [f"{name} ({reason})" for name, reason in list(reasons.items())[:MAX_COLUMNS_SHOWN]]
        rest = [f"{len(reasons) - MAX_COLUMNS_SHOWN} more"] if len(reasons) > MAX_COLUMNS_SHOWN else []
        return [("left out", ", ".join(shown + rest))] if reasons else []


def effects_in_words(effects):
    """The columns that matter most, with their shares."""
    most = sorted(effects.items(), key=lambda effect: -effect[1])[:MAX_COLUMNS_SHOWN]
    return ", ".join(f"{name} {share:.0%}" for name, share in most if share >= LEAST_EFFECT) or "no column"


def _is_number(value):
    return isinstance(value, float) and math.isfinite(value)


def _is_labels(labels):
    """Whether these are at least two different labels of one type, in order."""
    return (
        isinstance(labels, list)
        and len(labels) >= 2
        and type(labels[0]) in (str, int, float)
        and all(type(label) is type(labels[0]) for label in labels)
        and labels == sorted(set(labels))
    )
