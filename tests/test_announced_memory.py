"""What is announced before memory is allocated is what will be taken: a bound from above that is not far off."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from announced_memory import CASES

TOO_MUCH = 1.15  # times what is taken


@functools.cache
def measured():
    """Bytes by case: taken at the peak, announced. Of resident memory, as the kernel counts it."""
    program = Path(__file__).with_name("announced_memory.py")
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cases = [json.loads(line) for line in run.stdout.splitlines()]
    return {case["case"]: (case["taken"], case["announced"]) for case in cases}


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
@pytest.mark.parametrize("name", [name for name, *_ in CASES])
def test_as_much_memory_is_taken_as_was_announced(name):
    taken, announced = measured()[name]
    assert taken > 5e7  # else it is noise
    assert taken <= announced <= TOO_MUCH * taken
