"""Build of the compiled modules. Everything else is in pyproject.toml.

``SLTREES_DEBUG_CYTHON=1`` builds with bounds and initialisation checks.
``SLTREES_SANITIZE=address,undefined`` builds with those sanitizers (see CONTRIBUTING.md).
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import Cython
import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("SLTREES_DEBUG_CYTHON", "0") != "0"
SANITIZE = os.environ.get("SLTREES_SANITIZE", "")

# Portable flags only: instruction levels are chosen at run time (sltrees/_core/simd/).
COMPILE_ARGS = ["/O2"] if sys.platform == "win32" else ["-O3", "-std=gnu11", "-Wno-unused-function"]
LINK_ARGS = []
if DEBUG:
    COMPILE_ARGS += ["-O1"]  # the last one holds: bounds are checked, and speed is of no use
if SANITIZE:
    COMPILE_ARGS += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g", "-O1"]
    LINK_ARGS += [f"-fsanitize={SANITIZE}"]
WITHOUT_SYMBOLS = ["-Wl,--strip-all"] if sys.platform == "linux" and not (DEBUG or SANITIZE) else []

CORE = "sltrees/_core"
MODULES = [
    "_simd",  # instruction level in use
    "_primitives",  # single primitives of that level, for tests
    "_boundary",  # checks at the Python boundary
    "_hits",  # query results
    "_wide_tree",  # one tree over one array
    "_tree_queries",  # what it can be asked
    "_tree_writes",  # how its values are changed
    "_threshold_tree",  # its public face: building, growth, copies
    "_sum_tree",  # values, their sums, draws in proportion
    "_slot_table",  # which place of a tree a number has: a key or its hash
    "_keyed_tree",  # which place a key has
    "_integer_keys",  # the same for keys that are integers
    "_products",  # products of rows with many vectors, in one order of summation
    "_tree_bank",  # many trees of one shape
    "_pruned_bank",  # what is above a floor of such a matrix
    "_vector_panels",  # vectors that are searched
    "_jacobian",  # sparse-Jacobian kernels
    "_pools",  # memory of lists that grow
    "_near_lists",  # the hyperplanes that rows are near, as they are collected
    "_lazy_findings",  # where rows are to be in a step, and what looking at them found
    "_row_store",  # what rows consist of
    "_lazy_rows",  # rows that are looked at only when they may have crossed a hyperplane
    "_gram",  # the Gram matrix from pair counts
    "_fired_pairs",  # products with the Gram matrix, and columns of it, from the pairs that fire
    "_pair_bits",  # the same counted by bits, where many neurons fire on many samples
    "_normals",  # random numbers
    "_orthants",  # the limit kernel
    "_lapack",  # triangular factors, with the interpreter free
]
# Normal numbers, and exact values of searches, must have the same bits at every level, so products are not fused with
# sums where an instruction could. The other two say that nobody reads errno or the flags of exceptions: without them
# loops with roots and selections are not turned into vectors.
AS_VECTORS = ["-fno-math-errno", "-fno-trapping-math"]
EXTRA_ARGS = {
    "_normals": ["-ffp-contract=off", *AS_VECTORS],
    "_orthants": AS_VECTORS,
    "_vector_panels": ["-ffp-contract=off", *AS_VECTORS],
}

# Directives stand here only: a header comment in a .pyx would override them, and then a debug build is impossible.
DIRECTIVES = {
    "language_level": 3,
    "wraparound": False,
    "cdivision": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "embedsignature": True,
}

FLAGS = {name: os.environ.get(name, "") for name in ("CC", "CFLAGS", "CPPFLAGS", "CPATH", "LDFLAGS", "LDSHARED")}


def digest(*parts):
    """SHA-256 of texts and of the contents of files."""
    sha = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        sha.update(len(content).to_bytes(8, "little") + content)
    return sha.hexdigest()


# What a module is made from decides whether it is there already, not file times: pip brings a Cython that was installed
# just now, and git restores old files with new times. A translation lies in a folder named by all that it depends on,
# and comes there when it is finished; of compiled modules in the source it is noted what they were made from.
TRANSLATION = digest(DIRECTIVES, Cython.__version__, *sorted(Path(CORE).rglob("*.pxd")))
COMPILATION = digest(
    sys.version, np.__version__, FLAGS, COMPILE_ARGS, LINK_ARGS, EXTRA_ARGS, *sorted(Path(CORE).rglob("*.h"))
)


def translated(name):
    """The C file of a module, made by Cython if it is not there."""
    source, translations = Path(CORE, f"{name}.pyx"), Path("build", "cython")
    folder = translations / f"{name}-{digest(TRANSLATION, source)[:16]}"
    if not folder.exists():
        outdated = list(translations.glob(f"{name}-*"))
        unfinished = translations / f"{name}-{os.getpid()}"
        cythonize([str(source)], compiler_directives=DIRECTIVES, force=True, build_dir=str(unfinished))
        for copy in unfinished.rglob("*.h"):  # Cython lays headers beside the C file, where they would hide later ones
            copy.unlink()
        os.replace(unfinished, folder)
        for other in outdated:
            shutil.rmtree(other)
    return str(folder / CORE / f"{name}.c")


extensions = [
    Extension(
        f"sltrees._core.{name}",
        [translated(name)],
        include_dirs=[np.get_include(), CORE],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=COMPILE_ARGS + ([] if sys.platform == "win32" else EXTRA_ARGS.get(name, [])),
        extra_link_args=LINK_ARGS,
    )
    for name in sorted(MODULES, key=lambda name: -Path(CORE, f"{name}.pyx").stat().st_size)  # the longest first
]


class BuildExtensions(build_ext):
    """Compile what changed, also where pip asks for an editable install: it has modules built elsewhere, and copied."""

    NOTES = Path("build", "compiled.json")  # name of a module's file -> what it was made from, its hash

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()  # here: options of setup() do not reach editable builds

    def run(self):
        self.force = True  # what is asked to be built is: what need not be is decided here
        in_place = self.inplace or self.editable_mode
        if not in_place:  # a wheel: what debuggers read is most of it
            for extension in self.extensions:
                extension.extra_link_args = [*extension.extra_link_args, *WITHOUT_SYMBOLS]
        self.kept = self.modules_that_hold() if in_place else set()
        super().run()
        if in_place:
            files = {extension.name: Path(self.get_ext_filename(extension.name)) for extension in self.extensions}
            notes = {str(file): [self.made_from(name), digest(file)] for name, file in files.items() if file.exists()}
            unfinished = self.NOTES.with_suffix(f".{os.getpid()}")
            unfinished.parent.mkdir(exist_ok=True)
            unfinished.write_text(json.dumps(notes))
            os.replace(unfinished, self.NOTES)

    def made_from(self, name):
        """What tells whether a module has to be compiled again."""
        (extension,) = (extension for extension in self.extensions if extension.name == name)
        return digest(COMPILATION, *map(Path, extension.sources))

    def modules_that_hold(self):
        """Names of the modules in the source that are what they would be compiled to."""
        try:
            notes = json.loads(self.NOTES.read_text())
        except (OSError, ValueError):
            return set()
        kept = set()
        for extension in self.extensions:
            file = Path(self.get_ext_filename(extension.name))
            if file.exists() and notes.get(str(file)) == [self.made_from(extension.name), digest(file)]:
                kept.add(extension.name)
        return kept

    def build_extension(self, ext):
        if ext.name not in self.kept:
            super().build_extension(ext)
            return
        wanted = self.get_ext_fullpath(ext.name)
        self.mkpath(os.path.dirname(wanted))
        self.copy_file(self.get_ext_filename(ext.name), wanted)


setup(cmdclass={"build_ext": BuildExtensions}, ext_modules=extensions)
