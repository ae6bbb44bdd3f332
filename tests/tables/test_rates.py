"""Rates of categories: what is drawn together how far, and that a row has those of others."""

import numpy as np
import pytest

from sltrees.tables._rates import PARTS, deal_into_parts, learn_rates, rates_of_others


def rows(seed=0, n=300, categories=40, effect=1.0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(categories, size=n)
    targets = effect * rng.standard_normal(categories)[codes, None] + rng.standard_normal((n, 2))
    return codes, targets, np.ones(n), categories


def test_means_are_drawn_together_as_far_as_variances_say():
    rng, each = np.random.default_rng(0), 4
    codes = np.repeat(np.arange(2000), each)
    targets = 3.0 + 0.5 * rng.standard_normal(2000)[codes] + rng.standard_normal(len(codes))
    rates, mean = learn_rates(codes, targets[:, None], np.ones(len(codes)), 2000)
    means = np.bincount(codes, targets) / each
    share = (rates[:, 0] - mean) / (means - mean)
    np.testing.assert_allclose(share, share[0])
    assert share[0] == pytest.approx(0.25 / (0.25 + 1.0 / each), abs=0.03)


def test_a_weight_of_two_is_two_rows():
    codes, targets, weights, n = rows()
    weights[::3] = 2.0
    copies = np.repeat(np.arange(len(codes)), weights.astype(int))
    once = learn_rates(codes, targets, weights, n)
    twice = learn_rates(codes[copies], targets[copies], np.ones(len(copies)), n)
    np.testing.assert_allclose(once[0], twice[0])
    np.testing.assert_allclose(once[1], twice[1])


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_of_any_size(scale):
    codes, targets, *others = rows()
    np.testing.assert_allclose(
        learn_rates(codes, scale * targets, *others)[0] / scale, learn_rates(codes, targets, *others)[0]
    )


def test_where_categories_tell_nothing_all_have_the_mean():
    codes = np.repeat(np.arange(30), 4)
    targets = np.tile([[1.0], [-1.0], [2.0], [-2.0]], (30, 1))
    parts = deal_into_parts(codes, targets, np.ones(120))
    np.testing.assert_array_equal(learn_rates(codes, targets, np.ones(120), 30)[0], np.zeros((30, 1)))
    np.testing.assert_array_equal(rates_of_others(codes, targets, np.ones(120), 30, parts), np.zeros((120, 1)))
    alone = np.arange(30)  # no category comes twice
    np.testing.assert_allclose(learn_rates(alone, np.arange(30.0)[:, None], np.ones(30), 30)[0], np.full((30, 1), 14.5))


def test_a_row_has_the_rate_of_rows_of_other_parts():
    codes, targets, weights, n = rows()
    parts = deal_into_parts(codes, targets, weights)
    assert np.bincount(parts).tolist() == [len(codes) // PARTS] * PARTS
    found = rates_of_others(codes, targets, weights, n, parts)
    # up to how far they are drawn together: by the mean of others of the category, less that of all of them
    row = 7
    others, mean = parts != parts[row], targets.mean(axis=0)
    alike = others & (codes == codes[row])
    np.testing.assert_array_equal(
        np.sign(found[row] - mean), np.sign(targets[alike].mean(axis=0) - targets[others].mean(axis=0))
    )
    same = (parts == parts[row]) & (codes == codes[row])
    assert np.ptp(found[same], axis=0).max() == 0.0


def test_the_order_of_rows_changes_nothing():
    codes, targets, weights, _ = rows()
    order = np.random.default_rng(1).permutation(len(codes))
    np.testing.assert_array_equal(
        deal_into_parts(codes[order], targets[order], weights[order]), deal_into_parts(codes, targets, weights)[order]
    )
