"""The check that every benchmark runs: it sees what fails, and what is skipped."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "asv_benchmarks"
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
