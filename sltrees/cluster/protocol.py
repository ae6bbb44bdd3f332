"""What an executor of a cluster does: all that must be written to train on another kind of cluster."""

from __future__ import annotations

import typing


class Cluster(typing.Protocol):
    """An executor whose networks are trained on workers elsewhere: other processes, of this machine or of others.

    On each worker there is one `sltrees.cluster.host.ShardHost`. An executor carries calls to hosts and answers back;
    what is called, and what is made again where a host is lost, is the business of
    `sltrees.cluster.remote_group.RemoteGroup`. `sltrees.cluster.dask.executor.DaskExecutor` is one; a further kind
    needs a class with these members, and a line in `sltrees.cluster.choose`.

    Attributes
    ----------
    cluster : Cluster
        Itself: by this whoever is given an executor knows where neurons are, which tell the same of themselves.
        Executors that train in this process have None.
    n_threads : int
        Threads of this process, on which `map`, `run_all` and `run` work.

    Notes
    -----
    Hosts must compute as this process does, bit for bit: see `sltrees.cluster.arithmetic.refuse_unlike`. Between the
    calls of `call` a host goes on to hold what it holds; what it holds may be lost at any time.
    """

    n_threads: int

    def __enter__(self):
        """Open it, with a host on each worker; several may, at the same time. ClusterLostError if there is no worker.

        Returns
        -------
        Cluster
            Itself.
        """

    def __exit__(self, *exception):
        """Close it, if nobody else has it open: networks that live on its workers are brought to this process first.

        Where one cannot be, it is lost, with a warning.
        """

    def __deepcopy__(self, memo):
        """Itself: copies of trainers and of estimators share the cluster, of which there is one."""

    # ------------------------------------------------------------------ workers

    def workers(self):
        """Workers that can be asked now.

        Returns
        -------
        dict of str to dict
            By address, whatever there is to say of each.

        Raises
        ------
        ClusterLostError
            If the executor is closed, or nobody knows.

        Notes
        -----
        Cost: O(workers).
        """

    def wait_for_workers(self):
        """As `workers`, once there are any; ClusterLostError if there are none for as long as one has patience."""

    @property
    def memory(self):
        """Bytes that all workers together may use, a float, inf if nobody knows. Waits for workers."""

    # ------------------------------------------------------------------ hosts

    def call(self, requests, *, stoppable=True, progress=None):
        """Call methods of hosts at the same time, and wait for all.

        Parameters
        ----------
        requests : list of Request
            Several may be for one host, which follows one after the other. Each method is given the number of the call
            before its arguments.
        stoppable : bool, default True
            Ctrl-C makes them end where they are, by `ShardHost.stop` with their number; otherwise, their number being
            0, it takes effect once all are done. Either way nothing goes on when this ends.
        progress : callable, optional
            Called as progress(blocks done) now and then, from the sum of `ShardHost.progress`.

        Returns
        -------
        list
            What they return, in the order of the requests; a LostError where a worker did not answer, or its host did
            not hold what it was asked of (NotHeldError).

        Raises
        ------
        Exception
            That of the first call that raised another.
        ClusterLostError
            If the executor is closed, or nobody is there to carry calls.

        Notes
        -----
        Cost: what is asked of the slowest host, and a message to and from each.
        """

    def deposit(self, addresses, X, fingerprint):
        """Have samples on workers, before they are named in a recipe: `ShardHost.deposit`.

        Who does not get them is no error: it is found lost when it is asked.

        Parameters
        ----------
        addresses : list of str
        X : ndarray of shape (n, d)
        fingerprint : str

        Notes
        -----
        Cost: n d numbers to each worker.
        """

    def forget(self, held):
        """Let holdings go, without waiting and whatever became of the cluster: `ShardHost.forget`.

        Parameters
        ----------
        held : list of (str, hashable)
            Addresses, and keys of holdings there.
        """

    # ------------------------------------------------------------------ training

    @property
    def cluster(self):
        """Itself."""

    def place(self, here, network, planes, skin, ridge, progress):
        """Have the neurons of a network where this executor trains them, on the workers, with lists over samples.

        As `RemoteGroup.built` does. The executor remembers the network, which it has to bring home when it is closed.

        Parameters
        ----------
        here : callable
            What executors of this process call to have them here.
        network : ShiftedReLUNetwork
            Undrawn, or with its neurons here or there.
        planes : Hyperplanes
        skin : float
        ridge : bool
        progress : callable
            As of `CertifiedMethod.set_up`.

        Returns
        -------
        group : RemoteGroup
        state : NetworkState
            Of the network, but for the neurons.
        """

    # ------------------------------------------------------------------ what every executor does, in this process

    def map(self, function, blocks, progress=None):
        """As `ThreadExecutor.map`, on threads of this process."""

    def run_all(self, function, blocks):
        """As `ThreadExecutor.run_all`, on threads of this process."""

    def run(self, function, *arguments):
        """As `ThreadExecutor.run`, on a thread of this process."""
