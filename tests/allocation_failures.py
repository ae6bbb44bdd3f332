"""Allocations that fail, one by one, wherever memory is asked for: by NumPy, by kernels, by Python for large objects.

`run` starts a program in a process of its own, in which a small library answers for malloc and its like. The program
has `failures(call)`, which makes the call again and again: with the first allocation failing, then with the second, and
so on, until one call makes fewer. Small objects of Python have memory of their own, and do not fail: NumPy would crash,
and so would glibc where it wants memory for the first time, so what is called has been called before. Linux with glibc.
"""

import os
import shlex
import subprocess
import sys
import sysconfig

LIBRARY = r"""
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long before = -1; /* allocations until one fails, -1 for none */
static long left = 0, wanted = 0; /* how many are yet to fail, one after the other, and how many were to */

static int refused(void)
{
    if (before < 0 || before-- > 0)
        return 0;
    if (--left > 0)
        before = 0;
    errno = ENOMEM;
    return 1;
}

void fail_allocations(int after, int n)
{
    before = after;
    left = wanted = n;
}
void fail_allocation(int after) { fail_allocations(after, 1); }
int disarm(void)
{
    int was_armed = before >= 0 && left == wanted;
    before = -1;
    return was_armed;
}
void *malloc(size_t n) { return refused() ? NULL : __libc_malloc(n); }
void *calloc(size_t k, size_t n) { return refused() ? NULL : __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return refused() ? NULL : __libc_realloc(p, n); }
int posix_memalign(void **p, size_t at, size_t n)
{
    void *found = refused() ? NULL : __libc_memalign(at, n);
    *p = found ? found : *p;
    return found ? 0 : ENOMEM;
}
"""

PRELUDE = """
import ctypes

_fail = ctypes.PyDLL(None).fail_allocation
_disarm = ctypes.PyDLL(None).disarm


def failures(call):
    '''Yield what came of each call, an exception or None, while there was a failure in it.'''
    after = 0
    while True:
        outcome = None
        try:
            _fail(after)
            call()
        except Exception as error:  # as a rule MemoryError; NumPy has SystemError in places
            outcome = error
        if _disarm():
            return
        yield outcome
        after += 1
"""


def run(program, folder):
    """Run a program that has `failures`; `folder` is for the library. Returns what it printed.

    Raises
    ------
    AssertionError
        If the program failed, with what it said.
    """
    source, library = folder / "failing.c", folder / "failing.so"
    source.write_text(LIBRARY)
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
    subprocess.run([*compiler, "-O1", "-fno-builtin", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),  # the package under test, wherever it was found
    }
    command = [sys.executable, "-X", "faulthandler", "-c", PRELUDE + program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stderr}"
    return done.stdout
