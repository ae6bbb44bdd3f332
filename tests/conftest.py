"""Fixtures and profiles shared by all tests.

SLTREES_TEST_SEED=7 runs the tests that ask for a seed with that one instead of 0, SLTREES_TEST_SEED=all with ten.
SLTREES_STRESS=1 makes hypothesis look longer, and somewhere else each time.
"""

import os

import pytest
import type_checker
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"  # plots are drawn, and no window opens

settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("stress", deadline=None, max_examples=1000)
settings.load_profile("stress" if os.environ.get("SLTREES_STRESS") == "1" else "ci")


@pytest.fixture
def run_mypy(tmp_path, tmp_path_factory):
    """run_mypy(text): status, and what mypy --strict says of a program. `module` and `arguments` are for its siblings.

    What is known of NumPy is kept from one test to the next, for all processes that test.
    """
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mypy_cache"

    def run(text="", module="mypy", arguments=("--strict", "--config-file", "mypy.ini", "program.py")):
        (tmp_path / "program.py").write_text(text, encoding="utf-8")
        return type_checker.run(tmp_path, cache, module, *arguments)

    return run


def _seeds():
    chosen = os.environ.get("SLTREES_TEST_SEED", "0")
    return list(range(10)) if chosen == "all" else [int(chosen)]


@pytest.fixture(params=_seeds(), ids=lambda value: f"seed{value}")
def seed(request):
    """The seed of everything random in a test."""
    return request.param
