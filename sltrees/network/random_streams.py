"""The random streams of a network: keyed, so that its parts can be drawn in any order, by any thread, and again."""

from __future__ import annotations

import numbers

import numpy as np

from sltrees._validation import as_integer

NEURONS_PER_BLOCK = 8192  # the unit of the streams of neurons: changing it changes every network

MAX_SEED = 2**128 - 1  # what NumPy itself draws its fresh seeds from
MAX_ENTROPY_WORDS = 256  # of 32 bits: each stream mixes all of them

_WEIGHTS, _SIGNS, _NUMBER, _PROPOSALS, _SILENT, _SKETCH = 0, 1, 2, 3, 4, 5  # what a stream is for


class RandomStreams:
    """Independent random streams of one network.

    Parameters
    ----------
    random_state : None, int, numpy.random.SeedSequence or numpy.random.Generator
        None: fresh ones. A generator is asked for one number.

    Attributes
    ----------
    entropy : int or list of int
        What all streams are keyed from.

    Raises
    ------
    TypeError, ValueError
        If `random_state` is none of these.

    Examples
    --------
    >>> a, b = RandomStreams(7), RandomStreams(7)
    >>> generator(a.of_signs(3)).random() == generator(b.of_signs(3)).random()
    True
    """

    def __init__(self, random_state):
        self.entropy = _as_entropy(random_state)

    def of_weights(self, block):
        """Seed of the weights of a block of neurons."""
        return self._seed(block, _WEIGHTS)

    def of_signs(self, block):
        """Seed of the signs of a block of neurons."""
        return self._seed(block, _SIGNS)

    def of_number(self, sample):
        """Seed of the number of proposals for a sample."""
        return self._seed(sample, _NUMBER)

    def of_proposals(self, sample, chunk):
        """Seed of a chunk of proposals for a sample."""
        return self._seed(sample, _PROPOSALS, chunk)

    def of_silent(self, part):
        """Seeds for the neurons that rejection does not draw: of their number (part 0) and weights (part 1)."""
        return self._seed(part, _SILENT)

    def of_sketch(self):
        """Seed of the random projections of method "bpsw"."""
        return self._seed(0, _SKETCH)

    def _seed(self, *key):
        return np.random.SeedSequence(self.entropy, spawn_key=key)


def generator(seed):
    """The generator of a seed. Cost: O(1)."""
    return np.random.Generator(np.random.SFC64(seed))


def refuse_long(entropy):
    """ValueError if entropy, an int or a list of int, is longer than streams may be keyed from. Cost: O(1)."""
    entropy = entropy if isinstance(entropy, list) else [entropy]
    n_words = sum(max(1, -(-number.bit_length() // 32)) for number in entropy)
    if n_words > MAX_ENTROPY_WORDS:
        raise ValueError(f"entropy must have at most {MAX_ENTROPY_WORDS} words of 32 bits, got {n_words:,}")


def _as_integers(entropy):
    """Entropy of a seed sequence, of any nesting, as an int or a list of int that seeds the same."""
    if isinstance(entropy, numbers.Integral):
        return int(entropy)
    nested = [_as_integers(part) for part in entropy]
    return [number for part in nested for number in (part if isinstance(part, list) else [part])]


def _as_entropy(random_state):
    if random_state is None:
        return np.random.SeedSequence().entropy
    if isinstance(random_state, np.random.SeedSequence):
        entropy = _as_integers(random_state.entropy)
        refuse_long(entropy)
        if not random_state.spawn_key:
            return entropy
        return [*(entropy if isinstance(entropy, list) else [entropy]), *map(int, random_state.spawn_key)]
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(1 << 63))
    return as_integer(random_state, "random_state", minimum=0, maximum=MAX_SEED)
