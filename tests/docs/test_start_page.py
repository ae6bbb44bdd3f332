"""The newcomer's page: each of its commands runs, and says what the page says."""

import csv
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees

PAGE = Path(__file__).parents[2] / "docs" / "start.md"
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def commands_and_outputs(text):
    """The commands of the page in order, each with the output that the page shows next, or None."""
    fences = re.findall(r"^```(sh|text)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    found = []
    for language, content in fences:
        if language == "sh":
            found += [[command, None] for command in re.split(r"(?<!\\)\n", content) if command]
        else:
            found[-1][1] = content
    return found


@pytest.fixture
def run(tmp_path):
    """Run a command of the page, with the environment of the tests in the place of the one that it installs."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, start in {"python": sys.executable, "sltrees": f"{sys.executable} -m sltrees"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (programs / name).chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(Path(sltrees.__file__).parent.parent)}

    def run(command):
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.mark.slow
def test_every_line_of_the_page_runs_and_prints_what_it_says(run, tmp_path):
    (install, _), *commands = commands_and_outputs(PAGE.read_text(encoding="utf-8"))
    assert install == 'python3 -m venv .venv && .venv/bin/pip install ".[sklearn]"'
    assert len(commands) == 4  # five with the installation, as the title says
    for command, expected in commands:
        printed = run(command)
        if expected is not None:
            assert doctest.OutputChecker().check_output(expected, printed, OPTIONS), printed
    # what is shown in the text
    for name in ("iris.csv", "predictions.csv"):
        shown = re.search(rf"^    {(tmp_path / name).read_text().splitlines()[0]}$", PAGE.read_text(), re.MULTILINE)
        assert shown, name
    with open(tmp_path / "new.csv", newline="") as file:
        truth = [row["species"] for row in csv.DictReader(file)]
    with open(tmp_path / "predictions.csv", newline="") as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == len(truth) == 25
    for row in predictions:
        assert sum(float(row[f"species={name}"]) for name in set(truth)) == pytest.approx(1.0)
    assert sum(row["species"] == name for row, name in zip(predictions, truth, strict=True)) >= 23
