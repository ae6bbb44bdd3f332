"""The history of the benchmarks: measures chosen commits, and makes web pages of what was measured.

    python asv_benchmarks/history.py measure COMMIT... [--bench REGEX]
    python asv_benchmarks/history.py publish FOLDER

Needs asv, and a clone with these commits. What is measured is kept in asv_benchmarks/history_results, which belongs to
the repository: counts, and times of what is measured quickly. `publish` makes asv's pages of them, and lays beside them
the scripts that these would load from other sites, which npm brings: so the pages ask no other site.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "history_results"
MACHINE = "two-cores"

# Counts are the same on every machine but for the last digits of sums; times are those of a few seconds a commit.
COUNTS = r"Work\.track|Memory\.track|Rejection\.track"
TIMES = r"^(threshold_tree\.(Query|Update|Build)|correlation_trees\.QueryAll|training\.Fit|prediction|imports)\."

# where the pages' scripts and styles are in packages of npm: name of the file -> (package, version, path)
SCRIPTS = {
    "jquery-3.3.1.min.js": ("jquery", "3.3.1", "dist/jquery.min.js"),
    "jquery.flot.min.js": ("flot", "0.8.3", "jquery.flot.js"),
    "jquery.flot.time.min.js": ("flot", "0.8.3", "jquery.flot.time.js"),
    "jquery.flot.selection.min.js": ("flot", "0.8.3", "jquery.flot.selection.js"),
    "jquery.flot.categories.min.js": ("flot", "0.8.3", "jquery.flot.categories.js"),
    "jquery.flot.orderBars.js": ("flot-orderbars", "1.0.0", "js/jquery.flot.orderBars.js"),
    "stupidtable.min.js": ("stupid-table-plugin", "1.1.3", "stupidtable.min.js"),
    "md5.min.js": ("blueimp-md5", "2.19.0", "js/md5.min.js"),
    "bootstrap.min.js": ("bootstrap", "3.1.1", "dist/js/bootstrap.min.js"),
    "bootstrap.min.css": ("bootstrap", "3.1.1", "dist/css/bootstrap.min.css"),
}


class Asv:
    """asv with the results of the history, and with settings of its own for what it knows of the machine.

    Parameters
    ----------
    scratch : str
        Folder for these settings.
    **settings : object
        What differs from asv.conf.json.
    """

    def __init__(self, scratch, **settings):
        config = json.loads((HERE / "asv.conf.json").read_text(encoding="utf-8"))
        config |= {"repo": str(HERE.parent), "branches": ["HEAD"], "benchmark_dir": str(HERE / "benchmarks")}
        config |= {"results_dir": str(RESULTS), "env_dir": str(HERE.parent / ".asv" / "env"), **settings}
        Path(scratch, "asv.conf.json").write_text(json.dumps(config), encoding="utf-8")
        self.scratch = scratch
        # it writes what it knows of machines to the home directory
        git = Path(os.environ.get("GIT_CONFIG_GLOBAL", Path.home() / ".gitconfig"))
        self.environment = os.environ | {"HOME": scratch, "GIT_CONFIG_GLOBAL": str(git)}

    def __call__(self, *arguments):
        command = [sys.executable, "-m", "asv", *arguments]
        subprocess.run(command, cwd=self.scratch, env=self.environment, check=True)


def measure(commits, bench):
    """Build commits and run benchmarks on them; results are added to those that are there."""
    with tempfile.TemporaryDirectory() as scratch:
        asv = Asv(scratch, build_cache_size=16)
        asv("machine", "--yes", "--machine", MACHINE)
        for commit in commits:
            asv("run", f"{commit}^!", "--machine", MACHINE, "--bench", bench, "-a", "repeat=5")


def publish(folder):
    """Make the pages, which ask no other site.

    Parameters
    ----------
    folder : str or os.PathLike
        Where they go; a folder that is there is replaced.
    """
    folder = Path(folder).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        Asv(scratch, html_dir=str(folder))("publish")
        bring_scripts(folder, scratch)


def bring_scripts(pages, scratch):
    """Put the scripts and styles that the pages load from other sites beside them.

    Raises
    ------
    ValueError
        If the pages load a script that is not known here.
    """
    packages = sorted({f"{package}@{version}" for package, version, _ in SCRIPTS.values()})
    quiet = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "install", "--prefix", scratch, *quiet, *packages], cwd=scratch, check=True)
    (pages / "scripts").mkdir()

    def here(match):
        name = match["url"].rsplit("/", 1)[1]
        if name not in SCRIPTS:
            raise ValueError(f"{match['url']} is not among the scripts that are known here")
        package, _, path = SCRIPTS[name]
        shutil.copyfile(Path(scratch, "node_modules", package, path), pages / "scripts" / name)
        return f'{match["attribute"]}="scripts/{name}"'

    index = pages / "index.html"
    text = index.read_text(encoding="utf-8")
    text = re.sub(r'(?P<attribute>src|href)="(?P<url>https://[^"]*\.(?:js|css))" integrity="[^"]*"', here, text)
    index.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="build commits and measure them")
    measuring.add_argument("commits", nargs="+", metavar="COMMIT")
    measuring.add_argument("--bench", default=f"{COUNTS}|{TIMES}", help="a regular expression that chooses benchmarks")
    publishing = commands.add_parser("publish", help="make the pages")
    publishing.add_argument("folder")
    options = parser.parse_args()
    if options.command == "measure":
        measure(options.commits, options.bench)
    else:
        publish(options.folder)


if __name__ == "__main__":
    main()
