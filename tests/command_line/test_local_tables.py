"""`sltrees fit` and `predict` on tables as people keep them: local formats, identifiers, weights, other encodings."""

import csv
import gzip
import io
import json

import numpy as np
import pytest

from sltrees.__main__ import main
from sltrees.estimators import NewtonRegressor

KERNEL = ("--model", "kernel")  # quick: nothing is compared
N_ROWS = 80


def write(path, rows, delimiter=",", encoding="utf-8"):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


def records(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def run(capsys):
    """Run a command: exit code, standard output and standard error."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def sizes_and_prices(decimal, seed=0):
    """Sizes, and prices of 3 for one of size 1, with a decimal sign."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(1, 9, N_ROWS).round(1)
    rows = [[f"{size}".replace(".", decimal), f"{3 * size:.2f}".replace(".", decimal)] for size in sizes]
    return [["size", "price"], *rows]


def score_of(run, data, tmp_path, *options, target="price"):
    code, out, err = run("fit", data, "--target", target, "--out", tmp_path / "m.npz", "--json", *KERNEL, *options)
    assert code == 0, err
    return json.loads(out), err


@pytest.mark.parametrize("decimal", [".", ","])
def test_decimal_commas_are_as_good_as_points(run, tmp_path, decimal):
    data = write(tmp_path / "e.csv", sizes_and_prices(decimal), ";")
    summary, err = score_of(run, data, tmp_path)
    assert (summary["task"], summary["features"]) == ("regression", ["size"])
    assert summary["score"] > 0.99
    assert ("decimal commas" in err) == (decimal == ",")
    new = write(tmp_path / "new.csv", [["size"], [f"5{decimal}0"]], ";")
    _, out, _ = run("predict", tmp_path / "m.npz", new)
    assert float(records(out)[1][0]) == pytest.approx(15.0, abs=0.5)


def test_signs_may_be_said(run, tmp_path):
    rows = [["size", "price"]] + [[f"{1 + k % 9},{k:03}", str(k)] for k in range(N_ROWS)]
    data = write(tmp_path / "a.csv", rows)
    _, err = score_of(run, data, tmp_path)
    assert "size: numbers with commas between thousands, such as '1,000' as 1000" in err
    _, err = score_of(run, data, tmp_path, "--decimal", "comma")
    assert "size: numbers with decimal commas, such as '1,000' as 1" in err
    _, err = score_of(run, data, tmp_path, "--decimal", ",", "--thousands", "none")
    assert "size: numbers with decimal commas" in err
    with pytest.raises(SystemExit):
        main(["fit", data, "--target", "price", "--out", "m.npz", "--decimal", "x"])


def test_a_target_that_is_no_class_is_refused(run, tmp_path):
    rows = [["size", "price"]] + [[str(k % 7), f"{k}-{k}"] for k in range(N_ROWS)]
    code, out, err = run("fit", write(tmp_path / "a.csv", rows), "--target", "price", "--out", tmp_path / "m.npz")
    assert (code, out) == (2, "")
    assert "80 different words in 80 rows, such as '0-0': too many to be classes" in err
    assert not (tmp_path / "m.npz").exists()


def test_identifiers_go_along_with_predictions(run, tmp_path):
    rows = sizes_and_prices(".")
    rows = [["id", "owner", *rows[0]]] + [[str(k), f"owner {k}", *row] for k, row in enumerate(rows[1:])]
    data = write(tmp_path / "a.csv", rows)
    summary, err = score_of(run, data, tmp_path, "--id", "owner")
    assert summary["features"] == ["size"]
    assert "id: left out: it numbers the rows" in err
    new = write(tmp_path / "new.csv", [["size", "owner"], ["5", "ann"], ["6", "=bob"]])
    _, out, _ = run("predict", tmp_path / "m.npz", new)
    head, *rest = records(out)
    assert head == ["owner", "price"]
    assert [row[0] for row in rest] == ["ann", "=bob"]
    _, out, _ = run("predict", tmp_path / "m.npz", new, "--spreadsheet")
    assert records(out)[2][0] == "'=bob"
    _, out, _ = run("predict", tmp_path / "m.npz", new, "--json")
    assert json.loads(out)["identifiers"] == {"owner": ["ann", "=bob"]}


def test_weights_columns_left_out_and_words_by_request(run, tmp_path, monkeypatch):
    seen = []
    genuine = NewtonRegressor.fit

    def fit(self, X, y, sample_weight=None):
        seen.append((X.shape, sample_weight, self.search_seconds))
        return genuine(self, X, y, sample_weight)

    monkeypatch.setattr(NewtonRegressor, "fit", fit)
    rows = [["a", "b", "w", "noise", "y"]]
    rows += [[str(k % 5), f"{k * k % 17}", str(k % 2), str(k * 7 % 31), f"{k % 5}.5"] for k in range(N_ROWS)]
    data = write(tmp_path / "a.csv", rows)
    options = ("--weight", "w", "--drop", "noise", "--categorical", "a", "--search-seconds", "3", "--quiet")
    summary, _ = score_of(run, data, tmp_path, *options, target="y")
    assert summary["features"] == ["a=0", "a=1", "a=2", "a=3", "a=4", "b"]
    ((shape, weights, seconds),) = seen
    assert (shape, seconds) == ((N_ROWS, 6), 3.0)
    np.testing.assert_array_equal(weights, [k % 2 for k in range(N_ROWS)])


def test_rows_of_weight_0_are_in_no_mean_of_a_category(run, tmp_path):
    rng = np.random.default_rng(0)
    towns = rng.integers(40, size=400)
    y = rng.standard_normal(40)[towns] + 0.3 * rng.standard_normal(400)
    absent = rng.random(400) < 0.3
    y += np.where(absent, rng.choice([-1.0, 1.0], 400) * rng.uniform(50, 100, 400), 0.0)
    rows = [[f"town {k}", f"{value:.6f}", str(int(not gone))] for k, value, gone in zip(towns, y, absent, strict=True)]
    there = [row for row, gone in zip(rows, absent, strict=True) if not gone]
    for name, chosen in (("all", rows), ("there", there)):
        data = write(tmp_path / f"{name}.csv", [["town", "y", "w"], *chosen])
        score_of(run, data, tmp_path, "--weight", "w", "--quiet", target="y")
        (tmp_path / "m.npz").rename(tmp_path / f"{name}.npz")
    new = write(tmp_path / "new.csv", [["town"], *([f"town {k}"] for k in range(40))])
    found = [float(row[0]) for row in records(run("predict", tmp_path / "all.npz", new)[1])[1:]]
    expected = [float(row[0]) for row in records(run("predict", tmp_path / "there.npz", new)[1])[1:]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_none_is_a_class(run, tmp_path):
    rows = [["a", "y"]] + [[str(k % 3), ("None", "low", "high")[k % 3]] for k in range(N_ROWS)]
    summary, err = score_of(run, write(tmp_path / "a.csv", rows), tmp_path, target="y")
    assert summary["classes"] == ["None", "high", "low"]
    assert summary["n_rows"] == N_ROWS
    assert "y: 'None' taken as a class, not as missing" in err


def test_compressed_files_standard_input_and_encodings(run, tmp_path, monkeypatch):
    rows = sizes_and_prices(".")
    expected, _ = score_of(run, write(tmp_path / "a.csv", rows), tmp_path)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert score_of(run, packed, tmp_path)[0] == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed.read_bytes())))
    assert score_of(run, "-", tmp_path)[0] == expected
    rows[0][0] = "größe"
    latin = write(tmp_path / "latin.csv", rows, encoding="latin-1")
    code, _, err = run("fit", latin, "--target", "price", "--out", tmp_path / "m.npz")
    assert code == 2
    assert "--encoding latin-1" in err
    assert score_of(run, latin, tmp_path, "--encoding", "latin-1")[0]["features"] == ["größe"]
    _, out, _ = run("predict", tmp_path / "m.npz", latin, "--encoding", "latin-1")
    assert len(records(out)) == N_ROWS + 1


def test_identifiers_in_the_order_of_the_file_do_not_make_a_model_look_good(run, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 50)  # the file is sorted by them
    x = np.repeat([0.0, 1.0, 2.0], 50) + rng.standard_normal(150)
    rows = [[str(k), f"{value:.3f}", label] for k, (value, label) in enumerate(zip(x, labels, strict=True))]
    data = write(tmp_path / "a.csv", [["id", "x", "kind"], *rows])
    summary, err = score_of(run, data, tmp_path, target="kind")
    assert "id: left out: it numbers the rows" in err
    assert summary["score"] < 0.9
    others = write(
        tmp_path / "b.csv", [["id", "x", "kind"], *[[str(1000 + k), *row[1:]] for k, row in enumerate(rows)]]
    )
    code, out, _ = run("evaluate", tmp_path / "m.npz", others, "--json")
    assert code == 0
    assert json.loads(out)["score"] > summary["score"] - 0.1
