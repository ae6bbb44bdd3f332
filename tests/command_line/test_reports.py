"""What commands say of models: scores beside baselines, errors in units of the target, what matters, and which way."""

import csv
import io
import json

import numpy as np
import pytest

from sltrees.__main__ import main
from sltrees._command_line.quality import of_labels, of_numbers, short

KERNEL = ("--model", "kernel", "--quiet")  # quick: nothing is compared
N_ROWS = 100


def rows_of(seed, n=N_ROWS):
    """Of houses: an identifier, a date, a size with a decimal comma, a town, a price with units, a kind."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        size, town, day = rng.uniform(1, 9), rng.choice(["Bern", "Chur"]), int(rng.integers(28)) + 1
        price = 10 * size + 5 * (town == "Bern") + rng.normal()
        kind = "dear" if price > 50 else "cheap"
        rows.append([f"{k}", f"{day}.3.2024", f"{size:.2f}".replace(".", ","), town, f"{price:.2f} CHF", kind])
    return [["id", "sold", "size", "town", "price", "kind"], *rows]


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture
def run(capsys):
    """Run a command: exit code, standard output and standard error."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A directory with a table, new rows, and models of a price and a kind; do not write there."""
    directory = tmp_path_factory.mktemp("fitted")
    data, _ = write(directory / "a.csv", rows_of(0)), write(directory / "new.csv", rows_of(1, 60))
    assert (
        main(["fit", data, "--target", "price", "--out", str(directory / "price.npz"), "--drop", "kind", *KERNEL]) == 0
    )
    assert (
        main(["fit", data, "--target", "kind", "--out", str(directory / "kind.npz"), "--drop", "price", *KERNEL]) == 0
    )
    return directory


def named(out):
    return {name: value.strip() for name, value in (line.split("   ", 1) for line in out.splitlines())}


# ---------------------------------------------------------------------- numbers


def test_quality_of_numbers_is_what_formulas_say():
    rng = np.random.default_rng(0)
    truth, weights = rng.standard_normal(500), rng.integers(1, 4, 500).astype(float)
    residuals = 0.5 * rng.standard_normal(500)
    copies = [np.repeat(values, weights.astype(int)) for values in (residuals, truth)]
    found = of_numbers(residuals, weights, truth, weights)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(copies[0] ** 2)))
    assert found["baseline_rmse"] == pytest.approx(copies[1].std())
    assert found["r2"] == pytest.approx(1 - np.mean(copies[0] ** 2) / copies[1].var())
    assert found["mae"] == pytest.approx(np.abs(copies[0]).mean())
    assert np.mean(np.abs(copies[0]) <= found["error_quantiles"]["0.9"]) == pytest.approx(0.9, abs=0.01)
    assert of_numbers(residuals[:0], weights[:0], truth, weights) == {}
    assert "r2" not in of_numbers(residuals[:1], weights[:1], truth[:1], weights[:1])


def test_quality_of_labels_is_what_formulas_say():
    found = of_labels(["a", "b"], np.array([[8.0, 2.0], [1.0, 29.0]]))
    assert (found["accuracy"], found["baseline"], found["baseline_class"]) == (37 / 40, 30 / 40, "b")
    assert found["standard_error"] == pytest.approx(np.sqrt(37 / 40 * 3 / 40 / 40))
    assert of_labels(["a"], np.zeros((1, 1))) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(33592.6, "33,590"), (0.123456, "0.1235"), (-5.0, "-5"), (0.0, "0"), (1e15, "1e+15"), (99999, "100,000")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


# ---------------------------------------------------------------------- fit


def test_fit_says_how_good_it_is_in_units_of_the_target_and_what_matters(run, fitted, tmp_path):
    command = ("fit", fitted / "a.csv", "--target", "price", "--out", tmp_path / "m.npz", "--drop", "kind", *KERNEL)
    _, out, _ = run(*command)
    said = named(out)
    assert float(said["score"].split()[0]) > 0.9
    assert "if the mean were predicted" in said["error"]
    rmse = float(said["error"].split()[0])
    assert 0.8 < rmse < 4.0  # the noise has a deviation of 1
    assert said["errors"].startswith("half of them at most ")
    assert said["matters"].startswith("size ")
    assert said["left out"] == "id (it names the rows), kind (it was asked for)"
    _, out, _ = run(*command, "--json")
    content = json.loads(out)
    assert content["quality"]["rmse"] == pytest.approx(rmse, rel=1e-3)
    assert content["effects"].keys() == {"sold", "size", "town"}
    assert max(content["effects"], key=content["effects"].get) == "size"
    assert said["error"] in run("info", tmp_path / "m.npz")[1]


def test_fit_says_which_classes_are_taken_for_which(run, fitted, tmp_path):
    _, out, _ = run(
        "fit", fitted / "a.csv", "--target", "kind", "--out", tmp_path / "m.npz", "--drop", "price", *KERNEL
    )
    said = named(out)
    assert said["baseline"].endswith("were predicted for all)")
    counts = [said[f"class {label}"].split() for label in ("cheap", "dear")]
    assert sum(float(count[0]) for count in counts) / N_ROWS == pytest.approx(float(said["score"].split()[0]), abs=1e-4)
    assert sum(float(count[2]) for count in counts) == N_ROWS


# ---------------------------------------------------------------------- predict and evaluate


def test_predict_says_how_good_it_was_where_the_target_is_there(run, fitted, tmp_path):
    _, _, err = run("predict", fitted / "price.npz", fitted / "new.csv", "--out", tmp_path / "p.csv")
    assert "on 60 rows with a target; root mean square error " in err
    _, _, err = run("predict", fitted / "kind.npz", fitted / "new.csv", "--out", tmp_path / "p.csv")
    assert err.startswith("accuracy ")
    assert "on 60 rows with a target" in err
    without = [row[:4] for row in rows_of(1, 60)]
    _, _, err = run("predict", fitted / "price.npz", write(tmp_path / "b.csv", without), "--out", tmp_path / "p.csv")
    assert err == f"60 predictions of 'price' in {tmp_path / 'p.csv'}\n"


def test_predict_gives_intervals(run, fitted, tmp_path):
    command = ("predict", fitted / "price.npz", fitted / "new.csv", "--interval", "0.8")
    rows = list(csv.DictReader(io.StringIO(run(*command)[1])))
    assert list(rows[0]) == ["id", "price", "price: lower", "price: upper"]
    truth = [float(row[4].split()[0]) for row in rows_of(1, 60)[1:]]
    held = [float(row["price: lower"]) <= y <= float(row["price: upper"]) for row, y in zip(rows, truth, strict=True)]
    assert 0.6 < np.mean(held) < 0.95
    content = json.loads(run(*command, "--json")[1])
    assert np.shape(content["intervals"]) == (60, 2)
    code, _, err = run("predict", fitted / "kind.npz", fitted / "new.csv", "--interval", "0.8")
    assert (code, "--interval needs a regression model" in err) == (2, True)
    code, _, err = run(*command[:-1], "1.5")
    assert (code, "coverage must be above 0 and below 1" in err) == (2, True)


def test_rows_far_outside_the_range_are_said(run, fitted, tmp_path):
    rows = [["size", "town", "sold"], ["5,0", "Bern", "1.3.2024"], ["500,0", "Bern", "1.3.2024"]]
    _, _, err = run("predict", fitted / "price.npz", write(tmp_path / "far.csv", rows))
    assert "1 row of 2 far outside the range that was learned from: predictions level off there" in err


def test_evaluate_compares_predictions_with_the_target(run, fitted, tmp_path):
    code, out, _ = run("evaluate", fitted / "price.npz", fitted / "new.csv")
    said = named(out)
    assert code == 0
    assert float(said["score"].split()[0]) > 0.9
    assert said["expected"].endswith("(cross-validated R^2 when it was fitted)")
    assert said["intervals"].endswith("of the targets are within those of 90%")
    assert said["outside"].endswith("of 60 rows are outside the range that was learned from")
    content = json.loads(run("evaluate", fitted / "kind.npz", fitted / "new.csv", "--json")[1])
    assert content["score"] == content["accuracy"] > 0.8
    assert np.sum(content["confusion"]) == 60
    # a class that was never seen, and rows without one
    rows = rows_of(1, 60)
    rows[1][5], rows[2][5] = "free", ""
    content = json.loads(run("evaluate", fitted / "kind.npz", write(tmp_path / "c.csv", rows), "--json")[1])
    assert np.shape(content["confusion"]) == (3, 3)
    assert np.sum(content["confusion"]) == 59
    code, _, err = run("evaluate", fitted / "price.npz", write(tmp_path / "b.csv", [row[:4] for row in rows]))
    assert (code, "has no value of the target 'price'" in err) == (2, True)


# ---------------------------------------------------------------------- explain


@pytest.mark.parametrize("target", ["price", "kind"])
def test_explain_says_what_matters_and_draws_it(run, fitted, tmp_path, target):
    picture = tmp_path / "d.png"
    code, out, _ = run("explain", fitted / f"{target}.npz", fitted / "a.csv", "--out", picture)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("size ")
    assert ("mean price from " if target == "price" else "probability of ") in lines[0]
    assert any("2024-03-" in line for line in lines)  # dates as dates
    assert picture.read_bytes().startswith(b"\x89PNG")
    content = json.loads(run("explain", fitted / f"{target}.npz", fitted / "a.csv", "--column", "town", "--json")[1])
    assert list(content["dependence"]) == ["town"]
    assert content["dependence"]["town"]["values"] == ["Bern", "Chur"]
    means = np.array(content["dependence"]["town"]["means"])
    assert means.shape == ((2,) if target == "price" else (2, 2))
    if target == "price":
        assert means[0] - means[1] == pytest.approx(5.0, abs=2.0)
    code, _, err = run("explain", fitted / f"{target}.npz", fitted / "a.csv", "--column", "id")
    assert (code, "does not learn from a column 'id'" in err) == (2, True)
