"""Instruction levels against portable C, in C alone: natively, and those of 64-bit ARM under an emulator."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sltrees._core

HARNESS = Path(__file__).parent / "levels_harness.c"
HEADERS = Path(sltrees._core.__file__).parent
FLAGS = ("-O1", "-std=gnu11", "-Wall", "-Werror", "-Wno-unused-function")
# by compiler: what runs its programs, and the levels that there must be at least
TOOLS = {"cc": ((), ("portable",)), "aarch64-linux-gnu-gcc": (("qemu-aarch64",), ("portable", "neon"))}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the flags are those of GCC and clang")
@pytest.mark.parametrize("compiler", TOOLS)
def test_levels_agree(tmp_path, compiler):
    runner, levels = TOOLS[compiler]
    for program in (compiler, *runner):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (Debian: gcc, gcc-aarch64-linux-gnu, qemu-user)")
    program = tmp_path / "levels"
    linking = ("-static",) if runner else ()
    command = [compiler, *FLAGS, *linking, f"-I{HEADERS}", str(HARNESS), "-o", str(program), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    done = subprocess.run([*runner, str(program)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert set(levels) <= set(done.stdout.split())


def test_a_level_that_differs_is_found(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    wrong = tmp_path / "wrong.c"
    check = "static void check(int holds, const char *level, const char *what)\n{\n"
    text = HARNESS.read_text(encoding="utf-8")
    assert text.count(check) == 1
    # what is asked for does not hold, once
    wrong.write_text(text.replace(check, check + "    static int calls = 0;\n    holds = holds && ++calls != 1000;\n"))
    subprocess.run(["cc", *FLAGS, f"-I{HEADERS}", str(wrong), "-o", str(tmp_path / "wrong"), "-lm"], check=True)
    done = subprocess.run([str(tmp_path / "wrong")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "differs from portable C" in done.stdout
