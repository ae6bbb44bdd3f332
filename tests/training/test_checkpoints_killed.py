"""Training in processes that are killed: each goes on from its checkpoint, and ends as if nothing had happened.

SLTREES_KILLS=20 kills so many at random moments, each elsewhere every time; the default is 2.
"""

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from problems import random_problem

import sltrees
from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.callbacks import Callback, Checkpoint
from sltrees.files.archive import read_archive

N_KILLS = int(os.environ.get("SLTREES_KILLS", "2"))


def problem():
    return random_problem(15, 40, 3)


def trainer_for(path, kind):
    """A run of some dozen iterations; of some kinds the network was trained before, and goes into the file."""
    X, y = problem()
    network = ShiftedReLUNetwork(4096, random_state=0, dtype="float64")
    method = "trees" if "trees" in kind else "certified"
    if "again" in kind:
        NewtonTrainer(network, method=method, max_iter=3).fit(X, y[::-1])
    callbacks = () if path is None else (Checkpoint(path),)
    return NewtonTrainer(network, method=method, alpha=1e-3, tol=0.0, max_iter=12, callbacks=callbacks)


class Announce(Callback):
    """Say when the first checkpoint is there, and take some time for each iteration."""

    def on_start(self, trainer):
        print("begun", flush=True)

    def on_iteration(self, trainer, record):
        time.sleep(0.01)


def slow_writes():
    """Make writing a checkpoint take the better part of the time, with most of it between its parts."""
    from sltrees.files import archive

    fsync, replace = os.fsync, os.replace

    def slow_fsync(descriptor):
        time.sleep(0.01)
        fsync(descriptor)

    def slow_replace(*arguments):
        time.sleep(0.01)
        replace(*arguments)
        time.sleep(0.01)

    archive.os.fsync, archive.os.replace = slow_fsync, slow_replace
    slow_parts()


def slow_parts(each=lambda part: time.sleep(0.002)):
    """Call a function before each array of a checkpoint goes to its file."""
    from sltrees.files import archive

    chunks_of = archive.chunks_of

    def chunks(*arguments):
        for chunk in chunks_of(*arguments):
            each(chunk)
            yield chunk

    archive.chunks_of = chunks


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_within(moment, write):
    """Be killed at a moment of some write."""
    from sltrees.files import archive

    calls = []

    def counted(function, before):
        def call(*arguments):
            calls.append(0)
            if len(calls) == write and before:
                die()
            result = function(*arguments)
            if len(calls) == write:
                die()
            return result

        return call

    if moment == "in the middle":
        slow_parts(counted(lambda part: None, before=True))
    elif moment == "before it is on the disk":
        archive.os.fsync = counted(os.fsync, before=True)
    else:
        archive.os.replace = counted(os.replace, before=moment == "before it replaces the old one")


def resume(path, kind):
    """Go on, here, from what a process left."""
    X, y = problem()
    trainer = NewtonTrainer.from_checkpoint(path)
    result = trainer.fit(X, y)
    return trainer.network.digest(), result.loss, [record.rmse for record in result.history]


def work(path, kind, moment):
    """What a process does: train, or go on training."""
    warnings.simplefilter("ignore")
    if moment == "slow":
        slow_writes()
    elif moment != "any":
        die_within(moment, write=7)
    X, y = problem()
    trainer = NewtonTrainer.from_checkpoint(path) if os.path.exists(path) else trainer_for(path, kind)
    trainer.callbacks += (Announce(),)
    trainer.fit(X, y)
    print("ended", flush=True)


def process(path, kind, moment):
    root = Path(sltrees.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parents[1]}"}
    command = [sys.executable, __file__, str(path), kind, moment]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


KINDS = ("certified", "certified again", "trees", "trees again")


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    """How the runs end if nobody kills them, by kind."""
    ends, (X, y) = {}, problem()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            # the run of a network that was trained before begins from displacements written down
            trainer = trainer_for(tmp_path_factory.mktemp("uncut") / "training.npz" if "again" in kind else None, kind)
            result = trainer.fit(X, y)
            ends[kind] = trainer.network.digest(), result.loss, [record.rmse for record in result.history]
    return ends


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:shift lowered")
@pytest.mark.parametrize("k", range(N_KILLS))
def test_killed_at_a_random_moment(tmp_path, uncut, k):
    kind, moment = KINDS[k % len(KINDS)], ("any", "slow")[k // 2 % 2]
    path = tmp_path / "training.npz"
    for cut in range(2):  # the second one cuts off the replay, or what comes after it
        run = process(path, kind, moment)
        assert run.stdout.readline() == "begun\n"
        time.sleep(random.uniform(0.0, 1.2 if moment == "slow" else 0.4))
        run.kill()
        said, _ = run.communicate()
        assert run.returncode == -signal.SIGKILL or said == "ended\n"
        if cut == 0:
            n_steps = len(read_archive(path).header["steps"])
    assert len(read_archive(path).header["steps"]) >= n_steps
    assert resume(path, kind) == uncut[kind]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:shift lowered")
@pytest.mark.parametrize("kind", ["certified", "trees again"])
@pytest.mark.parametrize(
    "moment",
    ["in the middle", "before it is on the disk", "before it replaces the old one", "when it has replaced the old one"],
)
def test_killed_within_a_write(tmp_path, uncut, kind, moment):
    path = tmp_path / "training.npz"
    run = process(path, kind, moment)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == -signal.SIGKILL
    assert "ended" not in said
    left = [name for name in os.listdir(tmp_path) if name != path.name]
    assert bool(left) == (moment != "when it has replaced the old one")
    assert np.isfinite(read_archive(path).arrays["g"]).all()
    assert resume(path, kind) == uncut[kind]


if __name__ == "__main__":
    work(*sys.argv[1:])
