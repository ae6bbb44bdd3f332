"""A small report of asv: one cheap benchmark, run once on the commit checked out, and published as web pages."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).parent.parent / "asv_benchmarks"
CHEAP = r"threshold_tree\.Query\.time_query"


def make_report(folder, benchmark=CHEAP):
    """Run a benchmark and publish it.

    Parameters
    ----------
    folder : pathlib.Path
        Where results, pages and what asv makes besides go: nothing else is written.
    benchmark : str
        A regular expression that chooses benchmarks.

    Returns
    -------
    pathlib.Path
        The folder of the pages, with index.html in it.

    Raises
    ------
    RuntimeError
        If asv fails; the message has what it said.
    """
    configuration = json.loads((SUITE / "asv.conf.json").read_text(encoding="utf-8"))
    repository = SUITE.parent
    configuration |= {
        "repo": str(repository),
        # whatever branch is checked out, or none
        "branches": ["HEAD"],
        "benchmark_dir": str(folder / "benchmarks"),
        "env_dir": str(folder / "env"),
        "results_dir": str(folder / "results"),
        "html_dir": str(folder / "html"),
    }
    shutil.copytree(SUITE / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "asv.conf.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    head = _run(["git", "rev-parse", "HEAD"], repository, os.environ).strip()
    # asv writes what it knows of machines to the home directory
    settings = Path(os.environ.get("GIT_CONFIG_GLOBAL", Path.home() / ".gitconfig"))
    environment = os.environ | {"HOME": str(folder), "GIT_CONFIG_GLOBAL": str(settings)}
    run_options = ["--quick", "--bench", benchmark, "-E", f"existing:{sys.executable}", "--set-commit-hash", head]
    for command, options in {"machine": ["--yes"], "run": run_options, "publish": ["--no-pull"]}.items():
        _run([sys.executable, "-m", "asv", command, "--config", str(path), *options], folder, environment)
    return folder / "html"


def _run(command, folder, environment):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout
