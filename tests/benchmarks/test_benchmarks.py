"""The check that every benchmark runs: it sees what fails, and what is skipped."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "asv_benchmarks"
SUITES = {path.stem for path in (FOLDER / "benchmarks").glob("[!_]*.py")} - {"common"}
SUITE = """
import os

class Suite:
    params = (["fine", "setup", "body", "end", "missing", "dense"],)

    def setup(self, case):
        if case == "setup":
            raise RuntimeError("in the set-up")
        if case in ("missing", "dense"):
            raise NotImplementedError("not there")

    def time_it(self, case):
        if case == "body":
            raise RuntimeError("in the benchmark")
        if case == "end":
            os._exit(1)

def track_nothing():
    pass

def track_seven():
    return 7
"""


# sets up every benchmark with an empty package in place of this one, and says which raised what asv takes for a failure
SET_UP = """
import itertools, sys
from asv_runner._aux import update_sys_path
from asv_runner.discovery import disc_benchmarks

# that of an editable install finds what the package in front lacks
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
update_sys_path(sys.argv[1])
for benchmark in disc_benchmarks(sys.argv[1]):
    benchmark.set_cache({} if benchmark.setup_cache_key else None)
    for index, parameters in enumerate(itertools.product(*benchmark.params)):
        if parameters:
            benchmark.set_param_idx(index)
        try:
            outcome = "skipped" if benchmark.do_setup() else "set up"
        except Exception as error:
            outcome = repr(error)
        print(f"{benchmark.name}: {outcome}")
"""


@pytest.fixture
def quick_run(monkeypatch):
    pytest.importorskip("asv")
    monkeypatch.syspath_prepend(str(FOLDER))
    import quick_run

    return quick_run


@pytest.mark.asv
@pytest.mark.slow
def test_what_becomes_of_benchmarks(quick_run, tmp_path, monkeypatch):
    monkeypatch.setattr(quick_run, "AVAILABLE", {"certified": None, "trees": None})
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "__init__.py").touch()
    (suite / "broken.py").write_text(SUITE, encoding="utf-8")
    assert quick_run.run(suite, html=tmp_path / "html") == {
        "broken.Suite.time_it('fine')": "ok",
        "broken.Suite.time_it('setup')": "failed",
        "broken.Suite.time_it('body')": "failed",
        "broken.Suite.time_it('end')": "failed",
        "broken.Suite.time_it('missing')": "skipped",
        "broken.Suite.time_it('dense')": "absent",
        "broken.track_nothing()": "failed",
        "broken.track_seven()": "ok",
    }
    assert quick_run.run(suite, bench="seven") == {"broken.track_seven()": "ok"}
    assert "<html" in (tmp_path / "html" / "index.html").read_text(encoding="utf-8")


@pytest.mark.asv
@pytest.mark.slow
@pytest.mark.parametrize(("bench", "status"), [("Memory", 0), ("no_such_benchmark", 1)])
def test_exit_status(quick_run, bench, status):
    command = [sys.executable, str(FOLDER / "quick_run.py"), "--bench", bench]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from benchmarks import common

    return common


def test_names_are_where_the_list_has_them_first(common):
    for name, modules in common.MODULES.items():
        assert common.found(name) is getattr(importlib.import_module(modules[0]), name)


def test_names_of_older_commits_are_found(common, tmp_path, monkeypatch):
    (tmp_path / "house_of_old.py").write_text("class Tree:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(common, "MODULES", {"Tree": ("house_of_today", "sltrees", "house_of_old")})
    assert common.needed("Tree").__module__ == "house_of_old"
    monkeypatch.setattr(common, "MODULES", {"Tree": ("house_of_today",)})
    with pytest.raises(NotImplementedError, match="no Tree"):
        common.needed("Tree")()


@pytest.mark.asv
@pytest.mark.slow
def test_what_an_older_commit_lacks_is_skipped(tmp_path):
    pytest.importorskip("asv")
    package = tmp_path / "sltrees"
    package.mkdir()
    (package / "__init__.py").touch()
    command = [sys.executable, "-c", SET_UP, str(FOLDER / "benchmarks")]
    # Python looks first in the folder that it starts in
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    outcomes = [line.split(": ", 1) for line in done.stdout.splitlines() if line.split(".")[0] in SUITES]
    assert {name.split(".")[0] for name, _ in outcomes} == SUITES
    assert {outcome for _, outcome in outcomes} == {"skipped", "set up"}, outcomes
    # what needs nothing of the package is NumPy's share, and what is measured for comparison
    can_run = {name for name, outcome in outcomes if outcome == "set up"}
    assert can_run == {
        "correlation_trees.Build.time_build",
        "correlation_trees.Query.time_query",
        "correlation_trees.QueryAll.time_query_all",
        "correlation_trees.Update.time_update_weights",
        "imports.Import.timeraw_import",
        "imports.Name.timeraw_import",
        "imports.Others.timeraw_import_numpy",
        "imports.Others.timeraw_import_numpy_and_scipy",
        "memory.Reference.peakmem_reference",
        "threshold_tree.Update.time_update",
    }
