"""Sums whose rounding does not depend on who adds up what, or when.

Terms are numbered 0, 1, 2, ... and are the leaves of one binary tree: node k of level l + 1 is the sum of nodes 2 k and
2 k + 1 of level l. Whoever holds some of the terms can add up the nodes whose leaves it has, and pass on these; the
total comes out the same bit for bit, however the terms were shared out. Addition rounds, and so is not associative: it
is the tree that says which sums are formed.
"""

from __future__ import annotations


class FixedSum:
    """Some nodes of the tree, each as large as the terms given allow.

    Parameters
    ----------
    nodes : dict of (level, index) to term, optional
        Of another `FixedSum`.

    Attributes
    ----------
    nodes : dict of (level, index) to term
        For terms start, ..., stop - 1 there are fewer than 2 log2(stop - start) + 2.

    Examples
    --------
    >>> parts = FixedSum(), FixedSum()
    >>> for number, term in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
    ...     parts[number % 2].add(number, term)
    >>> whole = FixedSum()
    >>> for number, term in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
    ...     whole.add(number, term)
    >>> parts[0].update(parts[1].nodes)
    >>> parts[0].total(0.0) == whole.total(0.0) == ((0.1 + 0.2) + (0.3 + 0.4)) + (0.5 + 0.6)
    True
    """

    def __init__(self, nodes=None):
        self.nodes = dict(nodes or {})

    def add(self, number, term, level=0):
        """Add a node that is not there yet; by default a term. Terms are not written to. Cost: O(log) additions."""
        nodes, index = self.nodes, number
        while (level, index ^ 1) in nodes:
            term = nodes.pop((level, index ^ 1)) + term  # two terms: the order makes no difference
            level, index = level + 1, index >> 1
        nodes[level, index] = term

    def update(self, nodes):
        """Add the nodes of another sum. Cost: O(nodes) additions."""
        for (level, index), term in nodes.items():
            self.add(index, term, level)

    def total(self, zero):
        """The sum of all terms, which must be there; `zero` if there are none. Cost: O(log) additions."""
        nodes = sorted(self.nodes.items(), key=lambda node: node[0][1] << node[0][0])
        if not nodes:
            return zero
        total = nodes[-1][1]
        for _, term in reversed(nodes[:-1]):
            total = term + total
        return total


def fixed_sum(terms, zero):
    """The total of terms in the order of their numbers.

    Parameters
    ----------
    terms : iterable
    zero : term
        The sum of none.

    Returns
    -------
    term

    Notes
    -----
    Cost: as many additions as there are terms.

    Examples
    --------
    >>> fixed_sum([1.0, 2.0, 3.0], 0.0)
    6.0
    """
    whole = FixedSum()
    for number, term in enumerate(terms):
        whole.add(number, term)
    return whole.total(zero)
