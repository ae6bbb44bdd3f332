"""The command line on people's own data: fit, predict, info."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from sltrees import ShiftedReLUNetwork, __version__
from sltrees.__main__ import main
from sltrees._command_line.shared import file_size
from sltrees.estimators import NewtonClassifier, NewtonRegressor
from sltrees.files.archive import read_archive, write_archive

N_ROWS = 60
KERNEL = ("--model", "kernel")  # quick: nothing is compared


def flowers():
    """Rows of two numbers, a word, an identifier and the class that follows from the first three."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(N_ROWS):
        size, weight, colour = rng.uniform(0, 4), rng.uniform(0, 4), rng.choice(["red", "blue"])
        kind = "big" if size + weight > 4 else "small"
        rows.append([f"{size:.3f}", f"{weight:.3f}" if k != 3 else "", colour, f"plant {k}", kind])
    return [["size", "weight", "colour", "name", "kind"], *rows]


def houses():
    """Rows of two numbers and a price, without a header."""
    rng = np.random.default_rng(1)
    X = rng.uniform(0, 1, (N_ROWS, 2))
    return [[f"{a:.4f}", f"{b:.4f}", f"{2 * a - b + 10:.4f}"] for a, b in X]


def write(path, rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


def records(text):
    return list(csv.reader(io.StringIO(text, newline="")))


class Ran:
    """What a command did."""

    def __init__(self, code, output):
        self.code, self.out, self.err = code, output.out, output.err

    def fails(self, command, message):
        """Check that it ended with one line of error, without a result."""
        assert self.code == 2
        assert self.out == ""
        last = self.err.splitlines()[-1]
        assert last.startswith(f"sltrees {command}: error: ")
        assert message in last
        assert "Traceback" not in self.err


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, capsys.readouterr())

    return run


def in_a_process(*arguments, **options):
    command = [sys.executable, "-m", "sltrees", *map(str, arguments)]
    return subprocess.run(command, **{"capture_output": True, "text": True, "timeout": 120} | options)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A directory with two tables and the models of them; do not write there."""
    directory = tmp_path_factory.mktemp("fitted")
    write(directory / "flowers.csv", flowers())
    write(directory / "houses.csv", houses())
    classifier, regressor = directory / "flowers.npz", directory / "houses.npz"
    for table, target, out in (("flowers.csv", "kind", classifier), ("houses.csv", "3", regressor)):
        command = ["fit", str(directory / table), "--target", target, "--out", str(out), "--quiet", *KERNEL]
        assert main(command) == 0
    return directory


# ---------------------------------------------------------------------- fit


def test_fit_says_what_it_made_of_the_table_and_what_it_chose(run, tmp_path):
    data, out = write(tmp_path / "flowers.csv", flowers()), tmp_path / "model.npz"
    done = run("fit", data, "--target", "kind", "--out", out)
    assert done.code == 0
    rows = dict(line.split("   ", 1) for line in done.out.splitlines())
    values = {name: value.strip() for name, value in rows.items()}
    assert values["target"] == "kind"
    assert values["task"].startswith("classification, because the target holds words, such as ")
    assert values["rows"] == str(N_ROWS)
    assert values["columns"] == "3, made into 4 features"
    assert values["classes"] == "2: big, small"
    assert values["model"]
    assert values["score"].endswith("(cross-validated accuracy)")
    assert 0.5 < float(values["score"].split()[0]) <= 1.0
    assert values["file"] == f"{out}, {file_size(out)}"
    for line in (
        f"{data}: {N_ROWS} rows, 5 columns; the first row holds their names",
        "3 columns to learn from: 2 numeric, 1 categorical; 4 features",
        "name: left out: no value occurs twice",
    ):
        assert line in done.err.splitlines()
    assert "weight: 1 value missing, taken as the median " in done.err


def test_fit_prints_one_json_object_and_is_quiet_if_asked(run, tmp_path):
    data, out = write(tmp_path / "houses.csv", houses()), tmp_path / "model.npz"
    done = run("fit", data, "--target", "column 3", "--out", out, "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert summary["task"] == "regression"
    assert summary["reason"] == "the target holds numbers, not all of them whole"
    assert summary["n_rows"] == N_ROWS
    assert summary["columns"] == {"column 1": "numeric", "column 2": "numeric", "column 3": "target"}
    assert summary["features"] == ["column 1", "column 2"]
    assert summary["classes"] is None
    assert summary["score"] > 0.9
    assert summary["score_name"] == "R^2"
    assert summary["file"] == str(out)
    assert not summary["interrupted"]
    assert summary["header"] is False
    assert summary["selection"]
    assert all(isinstance(candidate, dict) for candidate in summary["selection"])


def test_the_same_seed_writes_the_same_file_for_any_number_of_jobs(fitted, tmp_path, run):
    options = ("--out", tmp_path / "model.npz", "--jobs", "1", *KERNEL)
    assert run("fit", fitted / "houses.csv", "--target", "3", *options).code == 0
    assert (tmp_path / "model.npz").read_bytes() == (fitted / "houses.npz").read_bytes()


def test_rows_without_a_target_are_left_out(run, tmp_path):
    rows = houses()
    rows[4][2] = "NA"
    rows[9][2] = ""
    done = run(
        "fit", write(tmp_path / "a.csv", rows), "--target", "3", "--out", tmp_path / "model.npz", "--json", *KERNEL
    )
    assert json.loads(done.out)["n_rows"] == N_ROWS - 2
    assert "2 rows without a target left out" in done.err.splitlines()


def test_options_overrule_what_is_detected(run, tmp_path):
    rows = [["2019", "2020", "y"]] + [[str(k), str(k % 7), str(k % 3)] for k in range(N_ROWS)]
    data = write(tmp_path / "a.csv", rows, delimiter=";")
    out = tmp_path / "model.npz"
    options = ("--header", "--delimiter", "semicolon", "--task", "regression", "--seed", "5", "--jobs", "1")
    done = run("fit", data, "--target", "y", "--out", out, "--json", *options, *KERNEL)
    summary = json.loads(done.out)
    assert (summary["task"], summary["reason"]) == ("regression", "it was asked for")
    assert summary["features"] == ["2019", "2020"]
    rows = [[str(k), str(k % 7), "xyz"[k % 3]] for k in range(N_ROWS)]
    data = write(tmp_path / "a.csv", [["a", "b", "x"], *rows])
    done = run("fit", data, "--target", "3", "--out", out, "--json", "--no-header", *KERNEL)
    assert json.loads(done.out)["n_rows"] == N_ROWS + 1


def test_the_estimator_gets_what_the_options_say(run, tmp_path, monkeypatch):
    seen = []

    def fit(self, X, y):
        seen.append(self.get_params())
        raise ValueError("enough")

    monkeypatch.setattr(NewtonRegressor, "fit", fit)
    data = write(tmp_path / "a.csv", houses())
    options = ("--model", "something", "--seed", "7", "--jobs", "2", "--quiet")
    run("fit", data, "--target", "3", "--out", tmp_path / "model.npz", *options).fails("fit", "enough")
    (parameters,) = seen
    assert parameters["model"] == "something"
    assert parameters["random_state"] == 7
    assert parameters["n_jobs"] == 2
    assert parameters["verbose"] == 0


@pytest.mark.filterwarnings("default:beware")
def test_what_the_estimator_prints_and_warns_of_goes_to_standard_error(run, tmp_path, monkeypatch):
    genuine = NewtonRegressor.fit

    def fit(self, X, y):
        print("progress")
        warnings.warn("beware", UserWarning, stacklevel=2)
        return genuine(self, X, y)

    monkeypatch.setattr(NewtonRegressor, "fit", fit)
    arguments = (
        "fit",
        write(tmp_path / "a.csv", houses()),
        "--target",
        "3",
        "--out",
        tmp_path / "model.npz",
        "--json",
        *KERNEL,
    )
    done = run(*arguments)
    assert json.loads(done.out)
    assert {"progress", "warning: beware"} <= set(done.err.splitlines())
    done = run(*arguments, "--quiet")
    assert json.loads(done.out)
    assert done.err == ""


@pytest.mark.filterwarnings("default:search_seconds")
def test_what_there_was_no_time_to_try_is_said(run, tmp_path, monkeypatch):
    monkeypatch.setattr("sltrees.estimators.model_comparison.STEP_COST", 1e9)
    done = run("fit", write(tmp_path / "a.csv", houses()), "--target", "3", "--out", tmp_path / "model.npz")
    (line,) = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: search_seconds=20 is too short to compare networks on 60 samples: ")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,y\n1,2\n3\n", (), "line 3: 1 field, but line 1 has 2"),
        ("", (), "is empty"),
        ("a,y\n1,x\n2,z\n", ("--target", "z"), "has no column 'z'; its columns are 'a', 'y'"),
        ("a,y\n1,x\n2,z\n", ("--no-header",), "its first row was taken as data: if it holds the names, say --header"),
        ("2019,y\n1,x\n2,z\n", (), "its columns are 'column 1', 'column 2'; its first row was taken as data"),
        ("1,x\n2,z\n", (), "has no column 'y'; its columns are 'column 1', 'column 2'"),
        ("a,y\n1,x\n2,z\n", ("--out", "-"), "the output must be a file, got '-'"),
        ("a,y\n1,x\n2,x\n", (), "the target 'y' has one value only: 'x'"),
        ("a,y\n1,\n2,NA\n", (), "all values of the target 'y' are missing"),
        ("a,y\n1,x\n2,z\n", ("--task", "regression"), "line 2: the target 'y' must hold finite numbers"),
        ("y\nx\nz\n1\n", (), "has no column to learn from"),
        ("a,y\n1,x\n2,z\n", ("--model", "magic"), "magic"),
        ("a,y\n1,x\n2,z\n", ("--jobs", "0"), "--jobs must be at least 1, got 0"),
        ("a,y\n1,x\n2,z\n", ("--seed=-1",), "--seed must be at least 0, got -1"),
    ],
)
def test_fit_refuses_what_it_cannot_use(run, tmp_path, text, options, message):
    data, out = tmp_path / "a.csv", tmp_path / "model.npz"
    data.write_text(text, encoding="utf-8")
    run("fit", data, "--target", "y", "--out", out, *options).fails("fit", message)
    assert not out.exists()


def test_files_that_are_not_there_or_in_the_way(run, tmp_path, fitted):
    data = fitted / "flowers.csv"
    run("fit", tmp_path / "b.csv", "--target", "y", "--out", tmp_path / "m").fails("fit", "cannot read")
    run("fit", tmp_path, "--target", "y", "--out", tmp_path / "m").fails("fit", "cannot read")
    copy = shutil.copy(data, tmp_path / "a.csv")
    os.symlink(copy, tmp_path / "link.csv")
    os.link(copy, tmp_path / "hard.csv")
    for name in ("a.csv", "link.csv", "hard.csv"):
        done = run("fit", copy, "--target", "kind", "--out", tmp_path / name)
        done.fails("fit", "would overwrite the input")
    assert (tmp_path / "a.csv").read_bytes() == data.read_bytes()
    model = fitted / "flowers.npz"
    for out in (model, data):
        run("predict", model, data, "--out", out).fails("predict", "would overwrite the input")


@pytest.mark.parametrize("out", ["none/model.npz", "", "file/model.npz"])
def test_output_that_cannot_be_written_is_code_1_before_any_work(run, out, tmp_path, fitted):
    (tmp_path / "file").write_text("x")
    for command in (
        ("fit", fitted / "flowers.csv", "--target", "kind"),
        ("predict", fitted / "flowers.npz", fitted / "flowers.csv"),
    ):
        done = run(*command, "--out", tmp_path / out)
        assert done.code == 1
        assert done.out == ""
        assert done.err.startswith(f"sltrees {command[0]}: error: cannot write {tmp_path / out}: ")
        assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: data, --target, --out"),
        (("a.csv", "--target", "y", "--out", "m", "--task", "magic"), "invalid choice: 'magic'"),
        (("a.csv", "--target", "y", "--out", "m", "--delimiter", ":"), "invalid choice: ':'"),
        (("a.csv", "--target", "y", "--out", "m", "--header", "--no-header"), "not allowed with"),
        (("a.csv", "--target", "y", "--out", "m", "--seed", "x"), "invalid int value: 'x'"),
    ],
)
def test_wrong_arguments_are_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fit", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_extra_is_an_error_that_names_it(tmp_path, fitted):
    # a module of this name that cannot be imported stands in for one that is not installed
    (tmp_path / "sklearn.py").write_text("raise ModuleNotFoundError('no sklearn', name='sklearn')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    out = tmp_path / "m.npz"
    commands = {
        "fit": ("fit", fitted / "flowers.csv", "--target", "kind", "--out", out),
        "predict": ("predict", fitted / "flowers.npz", fitted / "flowers.csv"),
    }
    for name, command in commands.items():
        done = in_a_process(*command, env=environment)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"sltrees {name}: error: ")
        assert 'pip install -e ".[sklearn]"' in done.stderr
        assert done.stderr.count("\n") == 1
    assert in_a_process("info", fitted / "flowers.npz", env=environment).returncode == 0


# ---------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_before_there_is_a_model_saves_nothing(run, tmp_path, fitted, monkeypatch):
    def fit(self, X, y):
        raise KeyboardInterrupt

    monkeypatch.setattr(NewtonClassifier, "fit", fit)
    out = tmp_path / "m.npz"
    done = run("fit", fitted / "flowers.csv", "--target", "kind", "--out", out, "--quiet")
    assert done.code == 130
    assert done.out == ""
    assert done.err == "sltrees fit: interrupted: there is no model yet, nothing is saved\n"
    assert not out.exists()


def test_ctrl_c_saves_the_last_good_state(run, tmp_path, fitted, monkeypatch):
    genuine = NewtonClassifier.fit

    def fit(self, X, y):
        genuine(self, X, y)
        raise KeyboardInterrupt

    monkeypatch.setattr(NewtonClassifier, "fit", fit)
    data, out = fitted / "flowers.csv", tmp_path / "m.npz"
    done = run("fit", data, "--target", "kind", "--out", out, *KERNEL)
    assert done.code == 130
    assert done.err.splitlines()[-1] == f"sltrees fit: interrupted: what was learned so far is saved in {out}"
    assert "of a fit that was interrupted" in done.out
    assert json.loads(run("info", out, "--json").out)["interrupted"] is True
    assert run("predict", out, data).out == run("predict", fitted / "flowers.npz", data).out


def test_ctrl_c_while_predicting_is_code_130(run, fitted, monkeypatch):
    def predict(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(NewtonClassifier, "predict", predict)
    done = run("predict", fitted / "flowers.npz", fitted / "flowers.csv")
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[-1] == "sltrees predict: interrupted"


def interrupted_fit(directory, line, *options):
    """Exit code and standard error of a fit that gets SIGINT once it has said a line that begins like this."""
    x = np.random.default_rng(0).standard_normal((1000, 5))
    y = np.sin(2 * x[:, 0]) * x[:, 1] + x[:, 2] ** 2
    rows = [[f"{value:.5f}" for value in row] for row in np.column_stack([x, y])]
    command = [sys.executable, "-m", "sltrees", "fit", write(directory / "a.csv", rows), "--target", "6"]
    process = subprocess.Popen(
        [*command, "--out", str(directory / "m.npz"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not process.stderr.readline().strip().startswith(line):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, err.splitlines()


def test_a_signal_before_there_is_a_model(tmp_path):
    code, lines = interrupted_fit(tmp_path, "comparing models")
    assert code == 130
    assert lines[-1].startswith("sltrees fit: interrupted")
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_signal_while_a_network_learns(run, tmp_path):
    code, lines = interrupted_fit(tmp_path, "0 ", "--model", "network")
    out = tmp_path / "m.npz"
    assert code == 130
    assert lines[-1] == f"sltrees fit: interrupted: what was learned so far is saved in {out}"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "m.npz"]
    assert json.loads(run("info", out, "--json").out)["interrupted"] is True
    assert len(records(run("predict", out, tmp_path / "a.csv").out)) == 1001


# ---------------------------------------------------------------------- predict


def test_predictions_are_printed_in_the_order_of_the_rows(run, fitted, tmp_path):
    done = run("predict", fitted / "flowers.npz", fitted / "flowers.csv")
    assert done.code == 0
    predictions = records(done.out)
    assert predictions[0] == ["kind"]
    assert len(predictions) == N_ROWS + 1
    truth = [row[-1] for row in flowers()[1:]]
    assert np.mean([row == [label] for row, label in zip(predictions[1:], truth, strict=True)]) > 0.9
    assert done.err.startswith("weight: 1 value missing, taken as ")
    backwards = run("predict", fitted / "flowers.npz", write(tmp_path / "back.csv", [flowers()[0], *flowers()[:0:-1]]))
    assert records(backwards.out)[1:] == predictions[:0:-1]


def test_predictions_are_those_of_the_estimator(run, fitted):
    rows = houses()
    X, y = np.array(rows, dtype=float)[:, :2], np.array(rows, dtype=float)[:, 2]
    expected = NewtonRegressor(model="kernel", random_state=0).fit(X, y).predict(X)
    predictions = records(run("predict", fitted / "houses.npz", fitted / "houses.csv").out)
    assert predictions[0] == ["column 3"]
    np.testing.assert_allclose(np.array(predictions[1:], dtype=float)[:, 0], expected, rtol=1e-9)


def test_predictions_go_to_a_file_that_appears_whole(run, fitted, tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("old")
    done = run("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--out", out)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"{N_ROWS} predictions of 'kind' in {out}"
    assert out.read_text() == run("predict", fitted / "flowers.npz", fitted / "flowers.csv").out
    assert os.listdir(tmp_path) == ["p.csv"]
    quiet = run("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--out", out, "--quiet")
    assert (quiet.out, quiet.err) == ("", "")


def test_probabilities_have_a_column_for_each_class(run, fitted):
    done = run("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--proba", "--quiet")
    head, *rows = records(done.out)
    assert head == ["kind", "kind=big", "kind=small"]
    probabilities = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert [row[0] for row in rows] == [["big", "small"][k] for k in probabilities.argmax(axis=1)]
    run("predict", fitted / "houses.npz", fitted / "houses.csv", "--proba").fails(
        "predict", "--proba needs a classification model"
    )


def test_predictions_as_json(run, fitted, tmp_path):
    command = ("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--json")
    content = json.loads(run(*command).out)
    assert content["n_rows"] == len(content["predictions"]) == N_ROWS
    assert (content["task"], content["target"]) == ("classification", "kind")
    assert content["report"][0].startswith("weight: 1 value missing")
    assert set(content["predictions"]) == {"big", "small"}
    content = json.loads(run(*command, "--proba").out)
    assert content["classes"] == ["big", "small"]
    assert np.shape(content["probabilities"]) == (N_ROWS, 2)
    done = run(*command, "--out", tmp_path / "p.csv")
    assert json.loads(done.out)["file"] == str(tmp_path / "p.csv")
    assert "predictions" not in json.loads(done.out)
    assert len(records((tmp_path / "p.csv").read_text())) == N_ROWS + 1


def test_new_data_may_lack_the_target_and_have_columns_in_another_order(run, fitted, tmp_path):
    expected = run("predict", fitted / "flowers.npz", fitted / "flowers.csv").out
    shuffled = [[row[2], "extra", row[1], row[0]] for row in flowers()]
    done = run("predict", fitted / "flowers.npz", write(tmp_path / "a.csv", shuffled, ";"))
    assert done.out == expected
    assert "columns that were not there in training are passed over: 'extra'" in done.err
    expected = run("predict", fitted / "houses.npz", fitted / "houses.csv").out
    assert run("predict", fitted / "houses.npz", write(tmp_path / "b.csv", [r[:2] for r in houses()])).out == expected


def test_a_single_row_unseen_categories_and_missing_values(run, fitted, tmp_path):
    rows = [["size", "weight", "colour"], ["", "1", "green"]]
    done = run("predict", fitted / "flowers.npz", write(tmp_path / "a.csv", rows))
    assert len(records(done.out)) == 2
    assert "colour: 1 value not seen in training ('green'), taken as none of those seen" in done.err
    assert "size: 1 value missing, taken as" in done.err


def test_a_header_is_expected_as_in_training_unless_told(run, fitted, tmp_path):
    words = [["size", "weight", "colour"], ["1", "1", "red"]]
    no_header = write(tmp_path / "a.csv", [["1", "1", "red", "", ""], ["2", "1", "red", "", ""]])
    done = run("predict", fitted / "flowers.npz", no_header)
    done.fails("predict", "names of columns must be unique")
    assert len(records(run("predict", fitted / "flowers.npz", no_header, "--no-header").out)) == 3
    headed = write(tmp_path / "b.csv", [["p", "q"], ["1", "2"]])
    run("predict", fitted / "houses.npz", headed).fails(
        "predict", "line 1: column 'column 1' must hold a finite number"
    )
    assert len(records(run("predict", fitted / "houses.npz", headed, "--header").out)) == 2
    assert len(records(run("predict", fitted / "flowers.npz", write(tmp_path / "c.csv", words)).out)) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["size", "colour"], ["1", "red"]], "lacks columns that were there in training: 'weight'"),
        ([["a", "b"], ["1", "red"]], "'size', 'weight', 'colour'; is its first row no header?"),
        ([["size", "weight", "colour"], ["x", "1", "red"]], "line 2: column 'size' must hold a finite number"),
        ([["size", "weight", "colour"]], "has a header (line 1) but no row of data"),
    ],
)
def test_predict_refuses_what_it_cannot_use(run, fitted, tmp_path, rows, message):
    out = tmp_path / "p.csv"
    done = run("predict", fitted / "flowers.npz", write(tmp_path / "a.csv", rows), "--out", out)
    done.fails("predict", message)
    assert not out.exists()


def test_labels_that_are_numbers_stay_numbers(run, tmp_path):
    rows = [["x", "y"]] + [[str(k), str(10 if k > 30 else 9)] for k in range(N_ROWS)]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "m.npz"
    assert json.loads(run("fit", data, "--target", "y", "--out", out, "--json", *KERNEL).out)["classes"] == [9, 10]
    head, *predictions = records(run("predict", out, data, "--proba").out)
    assert head == ["y", "y=9", "y=10"]
    assert {row[0] for row in predictions} == {"9", "10"}


def test_names_with_commas_and_letters_of_other_languages(run, tmp_path):
    rows = [["größe, cm", "art"]] + [[str(k), "ä,b" if k > 30 else 'c"d'] for k in range(N_ROWS)]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "m.npz"
    assert run("fit", data, "--target", "art", "--out", out, *KERNEL).code == 0
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    done = in_a_process("predict", out, data, env=environment, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert {row[0] for row in records(done.stdout)} == {"art", "ä,b", 'c"d'}


NASTY = "si\x1b[2Jze \u202eabc"


def test_what_files_hold_cannot_steer_the_terminal(run, tmp_path):
    rows = [[NASTY, "w\x07ord", "\x1b]0;y"]]
    rows += [[str(k), ("a\x1b[1m", "b")[k % 2], "p\x1b[5m" if k > 30 else "q"] for k in range(N_ROWS)]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "m.npz"
    ran = [
        run("fit", data, "--target", "3", "--out", out, *KERNEL),
        run("info", out),
        run("predict", out, data, "--out", tmp_path / "p.csv"),
        run("predict", out, write(tmp_path / "b.csv", [["x\x1b[3m", "y"], ["1", "2"]])),
        run("fit", data, "--target", "no\x1b[4m", "--out", out, *KERNEL),
    ]
    assert [done.code for done in ran] == [0, 0, 0, 2, 2]
    assert not {letter for done in ran for letter in done.out + done.err if letter in "\x1b\x07\u202e"}
    assert r"column si\x1b[2Jze \u202eabc" in ran[1].out
    assert {row[0] for row in records((tmp_path / "p.csv").read_text())} == {"\x1b]0;y", "p\x1b[5m", "q"}  # as they are


def test_a_table_of_candidates_that_was_forged_steers_no_terminal(run, tmp_path):
    path = tmp_path / "model.npz"
    run("fit", write(tmp_path / "a.csv", houses()), "--target", "3", "--out", path, *KERNEL)
    _, header, arrays, _ = read_archive(path, "table-model")
    write_archive(path, "table-model", dict(header, selection=[{"\x1b[2J": "\x1b[5m", "\u202e": 1.0}]), arrays)
    done = run("info", path)
    assert done.code == 0
    assert not {"\x1b", "\u202e"} & set(done.out + done.err)
    assert r"\x1b[2J" in done.out


def test_predictions_on_a_terminal_are_escaped_and_in_a_pipe_are_not(run, tmp_path, monkeypatch):
    rows = [["x", "y"]] + [[str(k), "p\x1b[5m" if k > 30 else "q"] for k in range(N_ROWS)]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "m.npz"
    assert run("fit", data, "--target", "y", "--out", out, *KERNEL).code == 0
    assert {row[0] for row in records(run("predict", out, data).out)} == {"y", "p\x1b[5m", "q"}
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert {row[0] for row in records(run("predict", out, data).out)} == {"y", r"p\x1b[5m", "q"}


def test_labels_are_kept_to_the_letter_unless_they_are_for_a_spreadsheet(run, tmp_path):
    rows = [["x", "@y"]] + [[str(k), "=1+1" if k > 30 else "q"] for k in range(N_ROWS)]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "m.npz"
    assert run("fit", data, "--target", "@y", "--out", out, *KERNEL).code == 0
    assert {row[0] for row in records(run("predict", out, data).out)} == {"@y", "=1+1", "q"}
    head, *rest = records(run("predict", out, data, "--proba", "--spreadsheet").out)
    assert head == ["'@y", "'@y==1+1", "'@y=q"]
    assert {row[0] for row in rest} == {"'=1+1", "q"}
    assert all(0 <= float(cell) <= 1 for row in rest for cell in row[1:])  # numbers stay numbers


def test_standard_input(run, fitted, monkeypatch):
    def ran(data):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return run("predict", fitted / "flowers.npz", "-")

    expected = run("predict", fitted / "flowers.npz", fitted / "flowers.csv")
    assert ran((fitted / "flowers.csv").read_bytes()).out == expected.out
    ran(b"").fails("predict", "standard input is empty: it has no row")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_is_code_1(fitted):
    with open("/dev/full", "w") as full:
        streams = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        done = in_a_process("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--quiet", **streams)
    assert done.returncode == 1
    assert done.stderr.startswith("sltrees predict: error: ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_regular_is_written_to_and_not_replaced(run, fitted, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    command = ("predict", fitted / "flowers.npz", fitted / "flowers.csv", "--quiet")
    assert run(*command, "--out", pipe).code == 0
    assert reader.communicate(timeout=30)[0] == run(*command).out
    assert pipe.is_fifo()


# ---------------------------------------------------------------------- files


def test_info_of_a_model(run, fitted):
    done = run("info", fitted / "flowers.npz")
    assert (done.code, done.err) == (0, "")
    for part in (
        "kind ",
        "table-model, version 1 of the format",
        "classification, because the target holds words",
        "numeric, median",
        "categorical: blue, red",
        "left out: no value occurs twice",
        "the target",
        "array ",
        "\n\nmodel ",
    ):
        assert part in done.out
    content = json.loads(run("info", fitted / "flowers.npz", "--json").out)
    assert (content["kind"], content["version"]) == ("table-model", 1)
    assert content["bytes"] == os.path.getsize(fitted / "flowers.npz")
    assert content["classes"] == ["big", "small"]
    assert content["written_by"] == __version__
    assert content["columns"]["name"] == "left out"
    assert content["arrays"]
    content = json.loads(run("info", fitted / "houses.npz", "--json").out)
    assert (content["task"], content["target"], content["classes"]) == ("regression", "column 3", None)


def test_info_of_other_files(run, tmp_path):
    network = ShiftedReLUNetwork(100, random_state=0).initialize([[1.0, 0.0]])
    network.save(tmp_path / "network.npz")
    done = run("info", tmp_path / "network.npz")
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert rows["kind"] == "network, version 1 of the format"
    assert rows["width"] == "100"
    content = json.loads(run("info", tmp_path / "network.npz", "--json").out)
    assert content["kind"] == "network"
    assert content["header"]["width"] == 100
    assert all(entry.keys() == {"dtype", "shape"} for entry in content["arrays"].values())
    header = {"numbers": [1.0, float("nan")], "nested": {"rmse": float("inf")}, "text": "x" * 500}
    write_archive(tmp_path / "other.npz", "something-else", header, {})
    content = json.loads(run("info", tmp_path / "other.npz", "--json").out)
    assert content["header"]["numbers"] == [1.0, None]
    assert content["header"]["nested"] == {"rmse": None}
    assert max(map(len, run("info", tmp_path / "other.npz").out.splitlines()[2:])) < 200


@pytest.mark.parametrize("command", ["info", "predict"])
def test_files_that_are_foreign_damaged_or_absent(run, fitted, tmp_path, command):
    def ran(path):
        return run(command, path, *([fitted / "flowers.csv"] if command == "predict" else []))

    data = (fitted / "flowers.npz").read_bytes()
    for name, content in {
        "empty": b"",
        "foreign": b"size,weight\n1,2\n" * 100,
        "cut": data[:-10],
        "changed": data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        ran(path).fails(command, str(path))
    ran(tmp_path / "absent").fails(command, "cannot read")
    ran(tmp_path).fails(command, "")


def test_predict_wants_a_model_of_a_table(run, fitted, tmp_path):
    ShiftedReLUNetwork(100, random_state=0).save(tmp_path / "network.npz")
    run("predict", tmp_path / "network.npz", fitted / "flowers.csv").fails("predict", "'network'")


def other_encoder(header):
    header["encoder"]["columns"] = header["encoder"]["columns"][1:]


def no_target(header):
    header["encoder"]["columns"] = header["encoder"]["columns"][:-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("task"),
        lambda header: header.update(more=1),
        lambda header: header.update(task="magic"),
        lambda header: header.update(task=["regression"]),
        lambda header: header.update(task="regression"),
        lambda header: header.update(task="regression", classes=None),
        lambda header: header.update(n_rows=0),
        lambda header: header.update(n_rows=True),
        lambda header: header.update(reason=None),
        lambda header: header.update(model=3),
        lambda header: header.update(written_by=None),
        lambda header: header.update(classes=None),
        lambda header: header.update(classes=["big"]),
        lambda header: header.update(classes=["small", "big"]),
        lambda header: header.update(classes=["big", "tall"]),
        lambda header: header.update(classes=["big", 1]),
        lambda header: header.update(classes=[[], []]),
        lambda header: header.update(score="good"),
        lambda header: header.update(score=float("nan")),
        lambda header: header.update(selection=[1]),
        lambda header: header.update(interrupted=0),
        lambda header: header.update(estimator=None),
        lambda header: header.update(estimator={}),
        lambda header: header.update(encoder={}),
        no_target,
        other_encoder,
    ],
)
def test_a_file_whose_parts_do_not_fit_together_is_refused(run, fitted, tmp_path, change):
    kind, header, arrays, _ = read_archive(fitted / "flowers.npz")
    change(header)
    write_archive(tmp_path / "m.npz", kind, header, arrays)
    done = run("predict", tmp_path / "m.npz", fitted / "flowers.csv")
    done.fails("predict", f"{tmp_path / 'm.npz'} holds no valid model of a table: ")


# ---------------------------------------------------------------------- all of it


@pytest.mark.parametrize("command", ["fit", "predict", "info"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"sltrees {command}" in capsys.readouterr().out


def test_starting_the_command_line_does_not_import_what_it_does_not_need():
    program = (
        "import sys, sltrees.__main__; print([m for m in ('sklearn', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------- losses


def test_a_loss_is_asked_for_learned_under_and_said(run, tmp_path):
    rows = [[a, b, str(round(float(price)))] for a, b, price in houses()]
    data, out = write(tmp_path / "a.csv", rows), tmp_path / "model.npz"
    done = run("fit", data, "--target", "3", "--out", out, "--loss", "poisson", "--task", "regression", *KERNEL)
    assert done.code == 0
    assert "poisson" in done.out
    assert "D^2" in done.out
    summary = json.loads(run("info", out, "--json").out)
    assert (summary["loss"], summary["score_name"]) == ("poisson", "D^2")
    options = ("--loss", "quantile", "--quantile", "0.9", "--task", "regression", "--quiet")
    assert run("fit", data, "--target", "3", "--out", out, *options, *KERNEL).code == 0
    shares = run("predict", out, data).out
    held = [float(row[2]) <= float(line[-1]) for row, line in zip(rows, records(shares)[-len(rows) :], strict=True)]
    assert np.mean(held) > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loss", "log_loss"), "loss must be one of"),
        (("--loss", "hinge"), "loss must be one of"),
        (("--quantile", "0.9"), "--quantile needs --loss quantile, got --loss None"),
        (("--loss", "quantile", "--quantile", "2"), "quantile must be above 0 and below 1, got 2"),
    ],
)
def test_losses_that_are_refused(run, tmp_path, options, message):
    data = write(tmp_path / "a.csv", houses())
    run("fit", data, "--target", "3", "--out", tmp_path / "m.npz", "--quiet", *options, *KERNEL).fails("fit", message)
