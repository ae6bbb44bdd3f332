"""The table of what was chosen among: in each column one kind of error, by which what was chosen is the best."""

import numpy as np
import pytest

from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.estimators.selection import Selection


def wavy(n=160, d=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.arange(1, d + 1)
    return X, np.maximum(X[:, 0], 0) + np.sin(X[:, 1]) + 0.1 * rng.standard_normal(n)


def rows_with(table, name):
    """Rows in which a column says something."""
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return [row for row in rows if row.get(name) is not None]


@pytest.mark.parametrize("cls", [NewtonRegressor, NewtonClassifier])
def test_what_is_chosen_is_the_best_of_its_column_by_the_rule(cls):
    X, y = wavy()
    model = cls(random_state=0, search_seconds=3.0).fit(X, y if cls is NewtonRegressor else y > 0.5)
    table = model.selection_
    models = rows_with(table, "error")
    assert {row["folds"] for row in models if row["outcome"] in ("chosen", "better", "the yardstick")} == {3}
    (chosen,) = [row for row in models if row["outcome"] == "chosen"]
    better = [row for row in models if row["folds"] == 3 and row["difference"] < -row["standard_error"]]
    assert chosen["error"] == min(row["error"] for row in better) if better else chosen["model"] == "kernel"
    evennesses = rows_with(table, "leave_one_out_error")
    assert [row["evenness"] for row in evennesses] == [1.0, 0.5, 0.0]
    (even,) = [row for row in evennesses if row["outcome"].startswith("scales columns best")]
    assert even["leave_one_out_error"] == min(row["leave_one_out_error"] for row in evennesses)
    assert even["evenness"] == model.evenness_
    rounds = rows_with(table, "rounds_error")
    least = min(row["rounds_error"] for row in rounds)
    (learned,) = [row for row in rounds if row["outcome"].startswith("chosen")]
    as_good = [row for row in rounds if row["rounds_error"] - least <= row["rounds_standard_error"]]
    assert learned["rounds"] == min(row["rounds"] for row in as_good)
    for row in (*evennesses, *rounds):  # no row has errors of two kinds
        assert sum(row.get(name) is not None for name in ("error", "leave_one_out_error", "rounds_error")) == 1


def test_a_table_is_readable_and_a_dict(tmp_path):
    X, y = wavy(60)
    model = NewtonRegressor("kernel", random_state=0).fit(X, y)
    lines = repr(model.selection_).splitlines()
    assert lines[0].split()[:2] == ["model", "error"]
    assert len(lines) == 1 + len(model.selection_["model"])
    assert max(map(len, lines)) < 160
    assert isinstance(model.selection_, dict)
    model.save(tmp_path / "m.npz")
    again = NewtonRegressor.load(tmp_path / "m.npz").selection_
    assert isinstance(again, Selection)
    assert repr(again) == repr(model.selection_)
    assert Selection({"a": ["<b>"], "b": [None]})._repr_html_() == (
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>"
    )
