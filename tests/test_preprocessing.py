"""InputScaling: what the network expects of its inputs."""

import numpy as np
import pytest

from sltrees.preprocessing import InputScaling


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("standardise", [True, False])
def test_rows_have_unit_norm_and_follow_the_definition(seed, bias, standardise):
    rng = np.random.default_rng(seed)
    train, test = (3 + 5 * rng.standard_normal((n, 4)) for n in (50, 20))
    scaled = InputScaling(bias, standardise).fit(train).transform(test)
    expected = (test - train.mean(axis=0)) / train.std(axis=0) if standardise else test
    if bias:
        expected = np.column_stack([expected, np.full(20, bias * 2.0)])
    assert scaled.shape == (20, 5 if bias else 4)
    assert np.allclose(scaled, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-13)
    assert np.allclose(np.linalg.norm(scaled, axis=1), 1.0, rtol=1e-13)


def test_the_scale_of_the_columns_does_not_matter(seed):
    X = np.random.default_rng(seed).standard_normal((30, 3))
    other = X * [1e-6, 1.0, 1e6] + [5.0, 0.0, 1e5]
    assert np.allclose(InputScaling().fit(X).transform(X), InputScaling().fit(other).transform(other), atol=1e-8)


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1, 1e8])
def test_constant_columns_become_zero(seed, constant):
    X = np.random.default_rng(seed).standard_normal((30, 3))
    X[:, 1] = constant
    scaled = InputScaling(bias=0.0).fit(X).transform(X)
    assert np.all(np.abs(scaled[:, 1]) < 1e-6)
    assert np.isfinite(scaled).all()


def test_a_row_of_zeros_stays_zero():
    X = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])
    scaled = InputScaling(bias=0.0, standardise=False).fit(X).transform(X)
    assert np.all(scaled[1] == 0)
    assert np.isfinite(scaled).all()


def test_inputs_are_left_alone(seed):
    X = np.random.default_rng(seed).standard_normal((10, 3))
    X.flags.writeable = False
    before = X.copy()
    InputScaling().fit(X).transform(X)
    assert np.array_equal(X, before)


@pytest.mark.parametrize(
    ("bias", "error"),
    [(-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError), (None, TypeError)],
)
def test_bad_biases_are_refused(bias, error):
    with pytest.raises(error, match="bias must be"):
        InputScaling(bias)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([[1.0, np.nan]], ValueError, r"X must be finite in float64, got nan at index \(0, 1\)"),
        ([[1.0, np.inf]], ValueError, r"X must be finite in float64, got inf at index \(0, 1\)"),
        ([1.0, 2.0], ValueError, r"X must have 2 dimensions, got shape \(2,\)"),
        (np.ones((0, 2)), ValueError, "X must have at least 1 row"),
        ([["a", "b"]], TypeError, "X must hold real numbers"),
    ],
)
def test_bad_samples_are_refused(X, error, message):
    scaling = InputScaling().fit([[0.0, 1.0], [2.0, 3.0]])
    for method in (scaling.fit, scaling.transform):
        with pytest.raises(error, match=message):
            method(X)


def test_another_number_of_columns_is_refused():
    with pytest.raises(ValueError, match="X must have 2 columns, got 3"):
        InputScaling().fit(np.eye(2)).transform(np.eye(3))


def test_rows_whose_scaled_numbers_overflow_have_the_direction_that_they_have():
    X = np.array([[1.0, 3.0], [2.0, 5.0], [4.0, 4.0]])
    tiny = InputScaling(bias=1.0).fit(X * 1e-200)
    assert np.allclose(tiny.transform([[1e150, 1.0]]), [[1.0, 0.0, 0.0]], rtol=0, atol=1e-15)
    far = InputScaling(bias=0.0).fit(X).transform([[1e9, -1e9]])
    assert np.allclose(tiny.transform([[1e150, -1e150]])[:, :2], far, atol=1e-8)
    huge = InputScaling(bias=1.0).fit([[1.7e308], [-1.7e308], [-1.7e308]])
    found = huge.transform([[1.7e308], [-1.7e308]])
    expected = InputScaling(bias=1.0).fit([[1.0], [-1.0], [-1.0]]).transform([[1.0], [-1.0]])
    assert np.allclose(found, expected, rtol=1e-12)
    both = tiny.transform([[1e150, 1.0], [1e-200, 2e-200]])  # a row beside one that overflows is as it is alone
    assert np.array_equal(both[1:], tiny.transform([[1e-200, 2e-200]]))


@pytest.mark.parametrize("constant", [0.1, 1.1e50, -1.3e300])
def test_constant_columns_are_zero_however_large_they_are(constant):
    X = np.column_stack([np.arange(7.0), np.full(7, constant)])
    scaled = InputScaling(bias=0.0).fit(X, sample_weight=np.linspace(0.1, 0.9, 7)).transform(X)
    np.testing.assert_array_equal(scaled[:, 1], 0.0)
