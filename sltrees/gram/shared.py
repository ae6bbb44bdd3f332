"""G of several networks with the same neurons, before any of them moves: counted once, and factorised once."""

from __future__ import annotations

import threading


class SharedGram:
    """The `GramMatrix` that runs of several networks begin with, each of which goes its own way with one of its own.

    Whoever comes first makes it; what comes of it is the same bit for bit as if each had made its own.

    Notes
    -----
    Memory: that of one GramMatrix more than there are runs at a time, of which X X^T, and the factor until a run needs
    another one, are those of all.

    Examples
    --------
    >>> import numpy as np
    >>> from sltrees.execution.inline import InlineExecutor
    >>> from sltrees.gram.matrix import GramMatrix
    >>> def make():
    ...     gram = GramMatrix(np.eye(2), width=4)
    ...     gram.counts[...] = 4
    ...     gram.refresh(executor)
    ...     return gram
    >>> shared = SharedGram()
    >>> with InlineExecutor() as executor:
    ...     a, b = shared.fork(make), shared.fork(make)
    ...     for gram in a, b:
    ...         shared.factorise(gram, 1.0, executor)
    ...         gram.solve(1.0, np.array([2.0, 4.0]), executor), gram.n_factorisations
    (array([1., 2.]), 0)
    (array([1., 2.]), 0)
    """

    def __init__(self):
        self._lock = threading.Lock()  # others wait for what one makes
        self._gram = None

    def fork(self, make):
        """A GramMatrix of one's own.

        Parameters
        ----------
        make : callable
            make() is one, counted and formed; called the first time.

        Returns
        -------
        GramMatrix

        Notes
        -----
        Cost: O(n^2), and the first time that of `make`.
        """
        with self._lock:
            if self._gram is None:
                self._gram = make()
            return self._gram.forked()

    def factorise(self, gram, c, executor):
        """Give one of those forked the factor of G + c I, if there is one.

        Cost: O(n^3 / 3), and O(1) where somebody asked for the same c last.
        """
        with self._lock:
            if self._gram.factorise(c, executor):
                self._gram.lend_factor(gram)
