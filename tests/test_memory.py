"""What memory there is: of the machine, of its control groups, and what others use of it."""

import os

import numpy as np
import pytest

from sltrees import NewtonTrainer, ShiftedReLUNetwork, _memory
from sltrees._memory import available_memory, check_memory, physical_memory
from sltrees.estimators.kernel_ridge import KernelRidge

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 GiB with 40 available: a function that writes its files."""
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 4096, "SC_AVPHYS_PAGES": 8 * GIB // 4096}
    monkeypatch.setattr(_memory, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write(proc__meminfo=f"MemTotal: {64 * GIB >> 10} kB\nMemFree: 1 kB\nMemAvailable: {40 * GIB >> 10} kB\n")
    return write


def test_of_a_machine_without_control_groups(machine, tmp_path):
    assert physical_memory() == 64 * GIB
    assert available_memory() == 40 * GIB
    (tmp_path / "proc/meminfo").unlink()  # no Linux: free pages
    assert available_memory() == 8 * GIB


def test_where_nothing_is_known_there_is_no_limit(machine, tmp_path, monkeypatch):
    (tmp_path / "proc/meminfo").unlink()
    for result in (ValueError("unrecognized configuration name"), -1):

        def sysconf(name, result=result):
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(os, "sysconf", sysconf)
        assert physical_memory() == available_memory() == float("inf")
    monkeypatch.delattr(os, "sysconf")
    assert physical_memory() == available_memory() == float("inf")


def test_control_groups_of_version_2_count_with_those_that_they_are_in(machine):
    machine(proc__self__cgroup="0::/user/job\n", sys__fs__cgroup__user__job__memory_dot_max="max\n")
    assert (physical_memory(), available_memory()) == (64 * GIB, 40 * GIB)
    machine(
        sys__fs__cgroup__user__memory_dot_max=f"{10 * GIB}\n", sys__fs__cgroup__user__memory_dot_current=f"{7 * GIB}\n"
    )
    assert (physical_memory(), available_memory()) == (10 * GIB, 3 * GIB)
    machine(sys__fs__cgroup__user__memory_dot_stat=f"anon 5\nactive_file 1\ninactive_file {2 * GIB}\n")
    assert (physical_memory(), available_memory()) == (10 * GIB, 5 * GIB)  # copies of files are given back
    machine(
        sys__fs__cgroup__user__job__memory_dot_max=f"{4 * GIB}\n",
        sys__fs__cgroup__user__job__memory_dot_current=f"{5 * GIB}\n",
    )
    assert (physical_memory(), available_memory()) == (4 * GIB, 0)


def test_control_groups_of_version_1(machine):
    machine(proc__self__cgroup="9:name=systemd:/\n5:cpu,memory:/box\n1:cpuset:/\n0::/\n")
    assert (physical_memory(), available_memory()) == (64 * GIB, 40 * GIB)
    # in a container its own group is the outermost that is there
    machine(
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes=f"{6 * GIB}\n",
        sys__fs__cgroup__memory__memory_dot_usage_in_bytes=f"{5 * GIB}\n",
        sys__fs__cgroup__memory__memory_dot_stat=f"cache 1\ninactive_file 7\ntotal_inactive_file {GIB}\n",
    )
    assert (physical_memory(), available_memory()) == (6 * GIB, 2 * GIB)
    machine(
        sys__fs__cgroup__memory__box__memory_dot_limit_in_bytes=f"{3 * GIB}\n",
        sys__fs__cgroup__memory__box__memory_dot_usage_in_bytes=f"{2 * GIB}\n",
    )
    assert (physical_memory(), available_memory()) == (3 * GIB, GIB)


@pytest.mark.parametrize("text", ["", "nonsense", "0::/a:b:c\n:::\n", "4:memory\n", "0::/../../x\n"])
def test_files_that_make_no_sense_are_no_limit(machine, text):
    machine(proc__self__cgroup=text, sys__fs__cgroup__memory_dot_max="9223372036854771712 ?\n")
    assert (physical_memory(), available_memory()) == (64 * GIB, 40 * GIB)


def test_this_machine_is_known():
    assert 0 < available_memory() <= physical_memory() < float("inf")


def test_the_guard_looks_at_what_is_available(machine):
    check_memory(40 * GIB, None, "it", "less")
    message = "it needs 42,949,672,961 bytes, what this machine has available is 42,949,672,960; less"
    with pytest.raises(MemoryError, match=message):
        check_memory(40 * GIB + 1, None, "it", "less")
    check_memory(50 * GIB, None, "it", "less", held=10 * GIB)  # a part of it is there already
    check_memory(50 * GIB, 60 * GIB, "it", "less")
    with pytest.raises(MemoryError, match=r"it needs 50 bytes, max_memory allows 40; less"):
        check_memory(50, 40, "it", "less", held=30)


def test_what_others_use_refuses_work_and_does_not_change_it(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 4)), rng.standard_normal(300)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    digests = []
    for _ in range(2):
        network = ShiftedReLUNetwork(2048, random_state=0)
        NewtonTrainer(network, max_iter=2).fit(X, y)
        digests.append(network.digest())
        monkeypatch.setattr("sltrees.training.budget.available_memory", lambda: 1.0)  # not sure that all fits
    assert digests[0] == digests[1]
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1e6)
    network = ShiftedReLUNetwork(2048, random_state=0)
    with pytest.raises(MemoryError, match="what this machine has available is 1,000,000"):
        NewtonTrainer(network, max_iter=2).fit(X, y)
    assert not network.state.neurons.n_neurons
    with pytest.raises(MemoryError, match="kernel ridge regression on 300 samples by eigen needs"):
        KernelRidge().fit(X, y[:, None])


def test_a_network_that_goes_on_is_not_counted_twice(monkeypatch):
    """What it holds is a part of what it needs, and no longer available."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.standard_normal(50)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    network = ShiftedReLUNetwork(2**15, random_state=0)
    trainer = NewtonTrainer(network, max_iter=2)
    trainer.fit(X, y)
    needed = []
    monkeypatch.setattr("sltrees.training.budget.Budget._fits_whatever_fires", lambda self: False)
    monkeypatch.setattr(
        "sltrees.network.memory.check_memory", lambda needs, *_, held: needed.append((needs, held)), raising=True
    )
    trainer.fit(X, y)
    ((needs, held),) = needed
    assert 0 < network.state.method.bytes_resident < held < needs
