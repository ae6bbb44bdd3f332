"""Pickles name modules: those of earlier versions are found where they are now, and only when they are asked for."""

import importlib
import pickle
import subprocess
import sys

import pytest

from sltrees import NewtonTrainer
from sltrees._moved import MOVED
from sltrees.network.shards import NeuronShard


@pytest.mark.parametrize("name", MOVED)
def test_what_was_in_a_module_is_found_and_the_module_now_is_as_it_was(name):
    homes = [importlib.import_module(home) for home in MOVED[name]]
    before = [dict(vars(home)) for home in homes]
    module = importlib.import_module(name)
    assert sys.modules[name] is module
    for home in homes:
        for cls in [thing for thing in vars(home).values() if isinstance(thing, type)]:
            assert getattr(module, cls.__name__) is cls
        assert home.__spec__.name == home.__name__ != name
    assert [vars(home) for home in homes] == before
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = module.nothing


def test_pickles_name_modules_as_they_were():
    for text, found in (
        (b"csltrees.shards\nNeuronShard\n.", NeuronShard),
        (b"csltrees.trainer\nNewtonTrainer\n.", NewtonTrainer),
    ):
        assert pickle.loads(text) is found


def test_others_are_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'sltrees\.nowhere'"):
        importlib.import_module("sltrees.nowhere")


def test_nothing_is_imported_before_somebody_asks():
    code = f"import sys, sltrees; print([name for name in {sorted(MOVED)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_workers_preload_is_found_under_its_old_name():
    pytest.importorskip("distributed")
    module = importlib.import_module("sltrees._dask_preload")
    assert module.dask_setup is importlib.import_module("sltrees.cluster.dask.preload").dask_setup
