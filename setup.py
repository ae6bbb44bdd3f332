"""Build of the compiled modules. Everything else is in pyproject.toml.

``SLTREES_DEBUG_CYTHON=1`` builds with bounds and initialisation checks.
``SLTREES_SANITIZE=address,undefined`` builds with those sanitizers (see CONTRIBUTING.md).
"""

import hashlib
import os
import sys
from pathlib import Path

import Cython
import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("SLTREES_DEBUG_CYTHON", "0") != "0"
SANITIZE = os.environ.get("SLTREES_SANITIZE", "")

# Portable flags only: instruction levels are chosen at run time (sltrees/_core/simd.h).
COMPILE_ARGS = ["/O2"] if sys.platform == "win32" else ["-O3", "-std=gnu11", "-Wno-unused-function"]
LINK_ARGS = []
if DEBUG:
    COMPILE_ARGS += ["-O1"]  # the last one holds: bounds are checked, and speed is of no use
if SANITIZE:
    COMPILE_ARGS += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g", "-O1"]
    LINK_ARGS += [f"-fsanitize={SANITIZE}"]

CORE = "sltrees/_core"
HEADERS = [
    "lazy_rows.h",
    "lazy_rows_instances.h",
    "lazy_rows_kernels.h",
    "normals.h",
    "normals_kernels.h",
    "simd.h",
    "simd_primitives.h",
    "tree.h",
    "wide_tree.h",
    "wide_tree_instances.h",
    "wide_tree_walks.h",
]
MODULES = [
    "_simd",  # instruction level in use
    "_primitives",  # single primitives of that level, for tests
    "_boundary",  # checks at the Python boundary
    "_hits",  # query results
    "_wide_tree",  # one tree over one array
    "_tree_queries",  # what it can be asked
    "_threshold_tree",  # its public face: building, changing, copying
    "_tree_bank",  # many trees of one shape
    "_jacobian",  # sparse-Jacobian kernels
    "_lazy_rows",  # rows that are looked at only when they may have crossed a hyperplane
    "_gram",  # the Gram matrix from pair counts
    "_normals",  # random numbers
]
# Normal numbers must have the same bits at every level, so products are not fused with sums where an instruction could.
# The other two say that nobody reads errno or the flags of exceptions: without them loops with roots and selections are
# not turned into vectors.
EXTRA_ARGS = {"_normals": ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]}

# Directives stand here only: a header comment in a .pyx would override them, and then a debug build is impossible.
DIRECTIVES = {
    "language_level": 3,
    "wraparound": False,
    "cdivision": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "embedsignature": True,
}

extensions = [
    Extension(
        f"sltrees._core.{name}",
        [f"{CORE}/{name}.pyx"],
        include_dirs=[np.get_include(), CORE],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=COMPILE_ARGS + ([] if sys.platform == "win32" else EXTRA_ARGS.get(name, [])),
        extra_link_args=LINK_ARGS,
        depends=["setup.py", *(f"{CORE}/{header}" for header in HEADERS)],
    )
    for name in MODULES
]

# cythonize looks at file times alone: it would miss a change of directives, and take a Cython that was just installed,
# as each run of pip has one, for a change of what is included. So it is noted what build/cython was made from.
FLAGS = [os.environ.get(name, "") for name in ("CC", "CFLAGS", "LDFLAGS")]
MODE = f"{DIRECTIVES} {SANITIZE} {FLAGS} Cython {Cython.__version__} NumPy {np.__version__}"
SOURCES = hashlib.sha256()
for path in sorted(path for kind in ("*.pyx", "*.pxd", "*.h") for path in Path(CORE).glob(kind)):
    SOURCES.update(path.name.encode() + path.read_bytes())
MADE_FROM = Path("build", "made_from")
noted = MADE_FROM.read_text().splitlines() if MADE_FROM.exists() else [None, None]
same_mode, same_sources = noted[0] == MODE, noted == [MODE, SOURCES.hexdigest()]
translated = [Path("build", "cython", CORE, f"{name}.c") for name in MODULES]
MADE_FROM.unlink(missing_ok=True)  # an interruption leaves nothing that is believed
if same_sources and all(path.exists() for path in translated):
    modules = extensions
    for extension, path in zip(extensions, translated, strict=True):
        extension.sources = [str(path)]
else:
    modules = cythonize(extensions, compiler_directives=DIRECTIVES, force=not same_mode, build_dir="build/cython")
MADE_FROM.parent.mkdir(exist_ok=True)
MADE_FROM.write_text(f"{MODE}\n{SOURCES.hexdigest()}\n")


class BuildExtensions(build_ext):
    """Compile what changed, also where pip asks for an editable install."""

    def build_extension(self, ext):
        built, wanted = self.get_ext_filename(ext.name), self.get_ext_fullpath(ext.name)
        # pip has the modules built in a new folder, and copied from there to the source: what is there already and
        # newer than all it is made of is not compiled again
        if self.editable_mode and same_mode and os.path.exists(built):
            self.mkpath(os.path.dirname(wanted))
            self.copy_file(built, wanted)
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildExtensions},
    ext_modules=modules,
    options={"build_ext": {"parallel": os.cpu_count() or 1}},  # modules are compiled side by side
)
