"""Names of modules in pickles that earlier versions made: they lead to where the modules are now.

Nothing in the package imports them. Modules of these names come to be when somebody asks, have no content of their own,
and look up what they are asked for in the others.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys

MOVED = {
    "sltrees._dask_preload": ("sltrees.cluster.dask.preload",),
    "sltrees.archive": ("sltrees.files.errors",),
    "sltrees.checkpoints": ("sltrees.training.lineage",),
    "sltrees.correlation_trees": ("sltrees.trees.correlation_trees",),
    "sltrees.executors": ("sltrees.cluster.messages", "sltrees.execution.threads", "sltrees.execution.inline"),
    "sltrees.gram_matrix_free": ("sltrees.gram.matrix_free",),
    "sltrees.random_streams": ("sltrees.network.random_streams",),
    "sltrees.ridge_models": ("sltrees.estimators.kernel_ridge", "sltrees.estimators.networks"),
    "sltrees.sampling_dense": ("sltrees.network.sampling_dense",),
    "sltrees.sampling_rejection": ("sltrees.network.sampling_rejection",),
    "sltrees.shards": ("sltrees.network.shards",),
    "sltrees.trainer": ("sltrees.training.trainer",),
}
RENAMED = {("sltrees.checkpoints", "Step"): "Iteration"}


class Finder:
    """Finds the modules of `MOVED`, after all others have looked for them, and loads them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """As of `importlib.abc.MetaPathFinder`."""
        return importlib.machinery.ModuleSpec(name, Finder) if name in MOVED else None

    @staticmethod
    def create_module(spec):
        """As of `importlib.abc.Loader`: a module like any other."""

    @staticmethod
    def exec_module(module):
        """As of `importlib.abc.Loader`: the module asks others for what it has."""

        def asked(name):
            for home in MOVED[module.__name__]:
                found = vars(importlib.import_module(home))
                if (current := RENAMED.get((module.__name__, name), name)) in found:
                    return found[current]
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__getattr__ = asked


def install():
    """Have names in pickles found. Cost: O(1)."""
    if Finder not in sys.meta_path:
        sys.meta_path.append(Finder)
