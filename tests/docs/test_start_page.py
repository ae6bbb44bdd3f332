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
    assert install == 'python3 -m venv .venv && .venv/bin/pip install ".[sklearn,plot]"'
    steps = re.findall(r"^\*\*(\d)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert steps == list("12345")  # as the title says
    assert [command.split()[1] for command, _ in commands] == ["-c", "fit", "explain", "predict", "evaluate", "info"]
    for command, expected in commands:
        printed = run(command)
        if expected is not None:
            assert doctest.OutputChecker().check_output(expected, printed, OPTIONS), printed
    # what is shown in the text
    for name, n_lines in (("houses.csv", 3), ("predictions.csv", 1)):
        shown = "\n".join(
            f"    {line}" for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()[:n_lines]
        )
        assert f"\n\n{shown}\n\n" in PAGE.read_text(encoding="utf-8"), name
    assert (tmp_path / "houses.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "new.csv", newline="", encoding="utf-8") as file:
        truth = [float(row["price"].replace(",", ".")) for row in csv.DictReader(file, delimiter=";")]
    with open(tmp_path / "predictions.csv", newline="", encoding="utf-8") as file:
        predictions = list(csv.DictReader(file))
    assert [int(row["nr"]) for row in predictions] == list(range(200, 250))
    errors = [abs(float(row["price"]) - y) for row, y in zip(predictions, truth, strict=True)]
    assert sorted(errors)[25] < 30_000
    inside = [
        float(row["price: lower"]) <= y <= float(row["price: upper"]) for row, y in zip(predictions, truth, strict=True)
    ]
    assert sum(inside) >= 35
