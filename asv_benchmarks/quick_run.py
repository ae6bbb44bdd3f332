"""Run every benchmark once, in this Python, and fail if one failed or was skipped. Its times say little.

Where a benchmark has sizes, it is run with the smallest.

    python asv_benchmarks/quick_run.py [--bench REGEX] [--html FOLDER]

Needs asv, and this package installed. asv takes benchmarks that are skipped for good ones, as it should where an older
commit lacks what they measure; but on the commit that they belong to it means that a name was misspelt or is gone.
Only methods of training that this version does not have may be skipped. `--html` writes the report of the run: of one
commit, to look at how it is made.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import AVAILABLE, METHODS

HERE = Path(__file__).resolve().parent


def run(benchmarks=HERE / "benchmarks", *, bench=None, html=None):
    """Run a suite once.

    Parameters
    ----------
    benchmarks : str or os.PathLike, optional
        Folder of the suite; by default the one beside this file.
    bench : str, optional
        A regular expression: only benchmarks in whose names it is found.
    html : str or os.PathLike, optional
        Folder that the report is written to.

    Returns
    -------
    dict of str to str
        Benchmarks with their parameters, and what became of them: "ok", "failed", "skipped", or "absent" if they are of
        a method of training that this version does not have.

    Raises
    ------
    subprocess.CalledProcessError
        If asv could not run them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch, "results")
        config = json.loads((HERE / "asv.conf.json").read_text(encoding="utf-8"))
        config |= {"repo": str(HERE.parent), "branches": ["HEAD"], "benchmark_dir": str(Path(benchmarks).resolve())}
        config |= {"results_dir": str(results), "env_dir": f"{scratch}/env"}
        config |= {"html_dir": str(Path(html or f"{scratch}/html").resolve())}
        Path(scratch, "asv.conf.json").write_text(json.dumps(config), encoding="utf-8")

        # what asv sets in environments of its own only; what it knows of the machine it writes to the home directory
        settings = Path(os.environ.get("GIT_CONFIG_GLOBAL", Path.home() / ".gitconfig"))
        environment = os.environ | config["matrix"]["env_nobuild"]
        environment |= {"HOME": scratch, "GIT_CONFIG_GLOBAL": str(settings), "SLTREES_QUICK_RUN": "1"}

        def asv(*arguments, fine=(0,)):
            done = subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=scratch, env=environment)
            if done.returncode not in fine:
                raise subprocess.CalledProcessError(done.returncode, done.args)

        asv("machine", "--yes")
        git = ["git", "-C", str(HERE), "rev-parse", "HEAD"]
        commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
        # results in an existing environment are kept only if they are told which commit is theirs
        command = ["run", "-E", f"existing:{sys.executable}", "--set-commit-hash", commit, "--quick", "--show-stderr"]
        asv(*command, *(("--bench", bench) if bench else ()), fine=(0, 2))  # 2: benchmarks failed
        if html:
            asv("publish")
        return _outcomes(results, every=bench is None)


def _outcomes(results, every):
    """What `run` returns, from the files that asv wrote: of the benchmarks that ran, or of every one."""
    (path,) = (path for path in results.glob("*/*.json") if path.name != "machine.json")  # of one machine and commit
    report = json.loads(path.read_text(encoding="utf-8"))
    column = report["result_columns"].index("result")
    suite = json.loads((results / "benchmarks.json").read_text(encoding="utf-8"))
    del suite["version"]  # of the file
    absent = {repr(method) for method in METHODS if method not in AVAILABLE}
    outcomes = {}
    for name in suite if every else report["results"]:
        combinations = list(itertools.product(*suite[name]["params"]))
        row = report["results"].get(name, [])[column:]  # asv leaves out what it has nothing to say of
        values = (row and row[0]) or [None] * len(combinations)
        for parameters, value in zip(combinations, values, strict=True):
            if value is None:
                outcome = "failed"
            elif math.isnan(value):
                outcome = "absent" if absent.intersection(parameters) else "skipped"
            else:
                outcome = "ok"
            outcomes[f"{name}({', '.join(parameters)})"] = outcome
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="a regular expression that chooses among the benchmarks")
    parser.add_argument("--html", help="folder for the report")
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        outcomes = run(bench=options.bench, html=options.html)
    except subprocess.CalledProcessError as error:
        parser.exit(1, f"asv failed, see above (no benchmark matches, or the suite is broken): {error}\n")
    bad = [f"{outcome}: {name}" for name, outcome in outcomes.items() if outcome in ("failed", "skipped")]
    for line in bad:
        print(line)
    print(f"{len(outcomes)} benchmarks in {time.perf_counter() - began:.0f} s, {len(bad)} failed or were skipped")
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
