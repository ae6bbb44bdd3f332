"""A folder of sources that nothing was built in says so; the recipe for conda asks for what pip installs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import sltrees


def test_sources_without_compiled_modules_say_what_to_do(tmp_path):
    """They hide what is installed from a Python that is started beside them, as after ``pip install .`` in a clone."""
    shutil.copytree(
        Path(sltrees.__file__).parent,
        tmp_path / "sltrees",
        ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", "from sltrees import ThresholdTree"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("Error: ") == 1
    (said,) = [line for line in done.stderr.splitlines() if "Error: " in line]
    assert said.startswith(f"ImportError: {tmp_path / 'sltrees' / '_core'} has no modules compiled for this Python: ")
    assert "pip install -e ." in said


def test_recipe_for_conda_asks_for_what_pip_installs():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    recipe = (root / "recipe" / "recipe.yaml").read_text(encoding="utf-8")

    def listed(block):
        (lines,) = re.findall(rf"^  {block}:\n((?:    .*\n)+)", recipe, flags=re.MULTILINE)
        return {line.strip().removeprefix("- ").replace(" ", "") for line in lines.splitlines()}

    def asked(requirements):
        return {requirement.replace(" ", "") for requirement in requirements}

    python = f"python{project['project']['requires-python']}"
    assert listed("run") == asked(project["project"]["dependencies"]) | {python}
    assert listed("host") == asked(project["build-system"]["requires"]) | {python, "pip"}
    assert re.findall(r'^  version: "(.*)"$', recipe, flags=re.MULTILINE) == [project["project"]["version"]]
    (command,) = project["project"]["scripts"].items()
    assert f"- {' = '.join(command)}\n" in recipe
    for file in project["project"]["license-files"]:
        assert f"- {file}\n" in recipe
