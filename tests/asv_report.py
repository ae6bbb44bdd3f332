"""A small report of asv: one cheap benchmark, run once on the commit checked out, and published as web pages.

The pages load their scripts from other sites. `bring_scripts` puts these beside them, so that they work offline.
"""

import re
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
        Where the pages go.
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
    command = [sys.executable, str(SUITE / "quick_run.py"), "--bench", benchmark, "--html", str(folder / "html")]
    _run(command, folder)
    return folder / "html"


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


def bring_scripts(pages):
    """Put the scripts that a report loads from other sites beside its pages; it then asks no other site.

    Parameters
    ----------
    pages : pathlib.Path
        What `make_report` returned.

    Raises
    ------
    RuntimeError
        If npm fails, or the pages load a script that is not known here.
    """
    packages = sorted({f"{package}@{version}" for package, version, _ in SCRIPTS.values()})
    quiet = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    _run(["npm", "install", "--prefix", str(pages / "scripts"), *quiet, *packages], pages)

    def here(match):
        name = match["url"].rsplit("/", 1)[1]
        if name not in SCRIPTS:
            raise RuntimeError(f"{match['url']} is not among the scripts that are known here")
        package, _, path = SCRIPTS[name]
        return f'{match["attribute"]}="scripts/node_modules/{package}/{path}"'

    index = pages / "index.html"
    text = index.read_text(encoding="utf-8")
    text = re.sub(r'(?P<attribute>src|href)="(?P<url>https://[^"]*\.(?:js|css))" integrity="[^"]*"', here, text)
    index.write_text(text, encoding="utf-8")


def _run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout
