"""A borrowed array that somebody wrote to behind the tree's back: answers may be wrong then, but never out of range."""

import numpy as np
import pytest

from sltrees import ThresholdTree


@pytest.mark.parametrize("orientation", ["max", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 17, 257, 5000])
def test_answers_of_a_stale_tree_stay_in_range(n, dtype, orientation, seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        values = rng.standard_normal(n).astype(dtype)
        tree = ThresholdTree(values, orientation=orientation, copy=False)
        values[:] = rng.choice([-9.0, 0.0, 9.0]) + rng.standard_normal(n)
        for threshold in (-9.0, 0.0, 9.0):
            found = tree.query(threshold)
            assert np.all((found >= 0) & (found < n))
            assert np.all(np.diff(found) > 0)
            assert 0 <= tree.count(threshold) <= n
            assert -1 <= tree.first(threshold) < n
        assert 0 <= tree.argmax() < n
        assert set(tree.topk(3)) <= set(range(n))
        tree.refresh()
        tree._check()
        assert tree.argmax() == (np.argmax(values) if orientation == "max" else np.argmin(values))
