"""A Dask cluster whose workers have network namespaces of their own: what crosses the network can be cut, and counted.

Linux alone, root alone: a bridge in the namespace of this process, where the scheduler listens, too, and for each
worker a namespace that a pair of virtual Ethernet devices joins to the bridge. Packets are no longer than those of
Ethernet, so that their headers are as many as between machines.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

_CLUSTERS = itertools.count()
_WORKER_PORT = 8790
_STARTING_SECONDS = 30.0  # that processes may take to listen
_PREFIX = "slt"  # of names of devices, which have at most 15 letters


def _program(*command, check=True):
    """Run a program; RuntimeError with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _ip(*arguments, check=True):
    return _program("ip", *arguments, check=check)


@functools.cache
def why_unavailable():
    """Why there can be no network namespaces here: str; None if there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are of Linux"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    for program in ("ip", "ss", "setpriv"):
        if shutil.which(program) is None:
            return f"there is no program {program}"
    try:
        with _Wires(1) as wires:
            _ip("netns", "exec", wires.namespaces[0], "true")
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return f"network namespaces are refused: {error}"
    return None


class _Wires(contextlib.ExitStack):
    """A bridge with an address, and namespaces joined to it, while inside."""

    def __init__(self, n_namespaces):
        super().__init__()
        name = f"{_PREFIX}{os.getpid()}{'abcdefghijklmnopqrstuvwxyz'[next(_CLUSTERS) % 26]}"
        self.bridge = name
        self.namespaces = [f"{name}-{k}" for k in range(n_namespaces)]
        self.devices = [f"{name}{k}" for k in range(n_namespaces)]  # the ends on the side of the bridge

    def __enter__(self):
        _delete_orphans()
        try:
            self._make()
        except BaseException:  # half-way, perhaps
            self.close()
            raise
        return self

    def _make(self):
        subnet = _free_subnet()
        self.address = f"{subnet}.254"
        self.addresses = [f"{subnet}.{k + 1}" for k in range(len(self.namespaces))]
        self.callback(_ip, "link", "delete", self.bridge, check=False)
        _ip("link", "add", self.bridge, "type", "bridge", "mcast_snooping", "0")
        _ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        for namespace, device, address in zip(self.namespaces, self.devices, self.addresses, strict=True):
            self.callback(_ip, "netns", "delete", namespace, check=False)
            _ip("netns", "add", namespace)
            # its other end goes with it
            self.callback(_ip, "link", "delete", device, check=False)
            _ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            inside = ("-n", namespace)
            _ip(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
            _whole_packets_only("eth0", *inside)
            _whole_packets_only(device)
            _ip("link", "set", "dev", device, "master", self.bridge)
            for which in ("lo", "eth0"):
                _ip(*inside, "link", "set", "dev", which, "up")
            _ip("link", "set", "dev", device, "up")
        _whole_packets_only(self.bridge)
        _ip("link", "set", "dev", self.bridge, "up")


def _whole_packets_only(device, *inside):
    """Have the kernel cut what is sent into packets of 1500 bytes before they are counted; and no chatter of IPv6."""
    _ip(*inside, "link", "set", "dev", device, "mtu", "1500", "gso_max_segs", "1", "addrgenmode", "none")


def _free_subnet():
    """The first three numbers of addresses that nobody here has, of those set aside for measuring."""
    taken = _ip("-o", "-4", "addr") + _ip("-4", "route")
    for k in range(512):
        number = (os.getpid() + k) % 512
        subnet = f"198.{18 + number // 256}.{number % 256}"
        if f"{subnet}." not in taken:
            return subnet
    raise RuntimeError("all subnets are taken")


def _delete_orphans():
    """Delete what processes that were killed have left behind: their numbers are in the names."""
    namespaces = [line.split()[0] for line in _ip("netns", "list").splitlines() if line]
    devices = [device["ifname"] for device in json.loads(_ip("-j", "link", "show") or "[]")]
    for kind, names in (("netns", namespaces), ("link", devices)):
        for name in names:
            digits = "".join(itertools.takewhile(str.isdigit, name.removeprefix(_PREFIX)))
            if name.startswith(_PREFIX) and digits and not pathlib.Path("/proc", digits).exists():
                _ip(kind, "delete", name, check=False)


class NamespacedCluster:
    """A Dask scheduler, and worker processes each of which has a network namespace, while inside.

    Parameters
    ----------
    n_workers : int
    timeout : str, default "11s"
        Of TCP: how long a peer may be silent that has to answer. Of this process, too, while inside. Dask refuses less.

    Attributes
    ----------
    scheduler_address : str
    worker_addresses : list of str

    Raises
    ------
    RuntimeError
        On entering, if a process ends or does not listen in time: with what it wrote.
    """

    def __init__(self, n_workers, *, timeout="11s"):
        self.n_workers, self.timeout = n_workers, timeout
        self._processes = {}  # by what they are: "scheduler", 0, 1, ...

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._enter(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def _enter(self, stack):
        import dask

        self._wires = stack.enter_context(_Wires(self.n_workers))
        self._logs = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        stack.enter_context(dask.config.set({"distributed.comm.timeouts.tcp": self.timeout}))
        stack.callback(self._kill_all)
        host = self._wires.address
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        self.scheduler_address = f"tcp://{host}:{port}"
        self.worker_addresses = [f"tcp://{address}:{_WORKER_PORT}" for address in self._wires.addresses]
        # fmt: off
        self._start("scheduler", [], "dask_scheduler", "--host", host, "--port", str(port), "--no-dashboard")
        for k, (namespace, address) in enumerate(zip(self._wires.namespaces, self._wires.addresses, strict=True)):
            self._start(
                k, ["ip", "netns", "exec", namespace], "dask_worker", self.scheduler_address, "--no-nanny",
                "--nthreads", "1", "--host", address, "--worker-port", str(_WORKER_PORT), "--death-timeout", "20",
                "--no-dashboard", "--memory-limit", "0", "--local-directory", str(self._logs / f"worker{k}"),
            )
        # fmt: on
        self._wait_until_listening()

    def _start(self, what, before, module, *arguments):
        environment = os.environ | {
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": self.timeout,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),  # whatever this process imports
        }
        # they end with this process even where it is killed
        command = ["setpriv", "--pdeathsig", "KILL", *before, sys.executable, "-m", f"distributed.cli.{module}"]
        with open(self._logs / f"{what}.log", "wb") as log:
            self._processes[what] = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                cwd=self._logs,
            )

    def _wait_until_listening(self):
        deadline = time.monotonic() + _STARTING_SECONDS
        for what, address in [("scheduler", self.scheduler_address), *enumerate(self.worker_addresses)]:
            host, port = address.removeprefix("tcp://").split(":")
            while True:
                with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
                    break
                if self._processes[what].poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{what} does not listen: {self.log(what)}")
                time.sleep(0.05)

    def _kill_all(self):
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait(20)

    def log(self, what):
        """What the scheduler ("scheduler") or a worker (its number) has written."""
        return (self._logs / f"{what}.log").read_text(errors="replace")

    def is_running(self, what):
        """Whether the process of the scheduler or of a worker has not ended."""
        return self._processes[what].poll() is None

    def processes(self):
        """Numbers of all processes in the groups of the scheduler and the workers, those that ended left out."""
        groups = {process.pid for process in self._processes.values()}
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = path.read_text().rpartition(")")[2].split()[:3]
                if int(group) in groups and state != "Z":
                    found.append(int(path.parent.name))
        return found

    @contextlib.contextmanager
    def client(self, *, direct_to_workers=True):
        """A client that knows all workers."""
        import distributed

        client = distributed.Client(
            self.scheduler_address, set_as_default=False, direct_to_workers=direct_to_workers, timeout=20
        )
        try:
            client.wait_for_workers(self.n_workers, timeout=_STARTING_SECONDS)
            yield client
        finally:
            with contextlib.suppress(Exception):  # whatever became of the scheduler
                client.close(timeout=5)

    def cut_off(self, k):
        """Have worker k vanish: no packet reaches it any more, nor comes from it, and nobody is told."""
        _ip("link", "set", "dev", self._wires.devices[k], "down")

    def reconnect(self, k):
        """Undo `cut_off`."""
        _ip("link", "set", "dev", self._wires.devices[k], "up")

    def kill(self, k):
        """Kill the process of worker k; the machine says so to whoever is connected with it."""
        os.killpg(self._processes[k].pid, signal.SIGKILL)
        self._processes[k].wait(20)

    def wire_bytes(self, k):
        """Bytes that worker k (received, sent), with the headers of all layers."""
        counters = pathlib.Path("/sys/class/net", self._wires.devices[k], "statistics")
        return tuple(int((counters / name).read_text()) for name in ("tx_bytes", "rx_bytes"))

    def acknowledgements(self, k):
        """Packets without data that worker k (received, sent) on connections that are open: acknowledgements.

        The kernel decides how many there are: it may acknowledge one segment, or many at once.
        """
        told = _program("ip", "netns", "exec", self._wires.namespaces[k], "ss", "-Htin", "state", "established")

        def total(name):
            return sum(int(number) for number in re.findall(rf"\b{name}:(\d+)", told))

        return tuple(total(f"segs_{way}") - total(f"data_segs_{way}") for way in ("in", "out"))
