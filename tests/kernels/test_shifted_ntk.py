"""The infinite-width kernel, against another integral for the same probability, closed forms and drawn networks."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from sltrees import ShiftedReLUNetwork, shifted_ntk
from sltrees.kernels import any_norms

EPS = np.finfo(np.float64).eps
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)

# ---------------------------------------------------------------------- oracle


def orthant(h, k, tau, difference=None):
    """P(U > h, V > k) of standard normal variables with correlation -tanh(tau), h and k not both 0.

    Plackett: its derivative in the correlation is the density at (h, k). So it is the integral of the density from
    correlation -1, where it is 0. With t = ln tan(angle/2) that is

        1/(2 pi) * integral_tau^inf exp(-((h - k)^2 (1 + e^(-2 t)) + (h + k)^2 (1 + e^(2 t)))/8) / cosh(t) dt

    `difference` is h - k where it is known better than h and k.
    """
    if tau == math.inf:
        return 0.0
    a, b = (h - k if difference is None else difference) ** 2, (h + k) ** 2
    a, b = a if a > 1e-200 else 0.0, max(b, 1e-200)  # as good as 0: that far out 1/cosh is
    tau = max(tau, -80.0)  # 1/cosh is 1e-35 there
    least = max(tau, 0.25 * math.log(a / b) if a > 0 else -math.inf)

    def exponent(t):
        return (a * (1 + np.exp(-2 * t)) + b * (1 + np.exp(2 * t))) / 8

    # where the exponent is within 60 of its least, and 1/cosh within exp(-45) of its greatest
    end = max(min(0.5 * math.log(8 * (exponent(least) + 60) / b), max(tau, 0.0) + 45), tau)
    start = max(tau, -0.5 * math.log(8 * (exponent(least) + 60) / a)) if a > 0 else tau
    # finest at the start, where the integrand can fall within 1/(h^2 + k^2 ...) < 1/1400
    ends = start + (end - start) * np.linspace(0, 1, 1001) ** 3
    t = ends[:-1, None] + np.diff(ends)[:, None] * (NODES + 1) / 2
    panels = np.exp(-exponent(t)) / np.cosh(t) @ WEIGHTS * np.diff(ends) / 2
    return math.fsum(panels) / (2 * math.pi)


def kernel_of(x, y, b):
    """The kernel of two rows, and how far off it may be: the rows are taken as they are, to 60 digits."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(float(value)) for value in row] for row in (x, y))
        norms = [mpmath.sqrt(mpmath.fsum(value * value for value in row)) for row in (x, y)]
        if min(norms) == 0:
            return 0.0, 0.0
        u, v = ([value / norm for value in row] for row, norm in zip((x, y), norms, strict=True))
        sine, cosine = (
            mpmath.sqrt(mpmath.fsum((p + sign * q) ** 2 for p, q in zip(u, v, strict=True))) for sign in (-1, 1)
        )
        h, k = (mpmath.mpf(b) / norm for norm in norms)
        parallel, opposite = sine < 1e-50, cosine < 1e-50
        tau = -math.inf if parallel else math.inf if opposite else float(mpmath.log(sine / cosine))
        product = float(mpmath.fsum(p * q for p, q in zip(x, y, strict=True)))
        size = float(norms[0] * norms[1])
        h, k, difference = float(h), float(k), float(h - k)
    if b == 0:
        # a product near 1 tells the angle to EPS over its sine, 1/20 or more
        return product * math.atan2(float(cosine), float(sine)) / math.pi, (50 + len(x)) * EPS * size
    probability = orthant(h, k, tau, difference)
    # directions are rounded: the angle is off by some EPS, and tau by that over the sine of the angle
    wobble = 0.0
    if math.isfinite(tau):
        step = 4 * EPS * math.cosh(min(abs(tau), 37.0))
        wobble = orthant(h, k, tau - step, difference) - orthant(h, k, tau + step, difference)
    error = 1e-11 * probability + wobble + 1e-300
    return product * probability, abs(product) * error + 2 * EPS * len(x) * size * probability


def assert_kernel_is_right(X, Y, b):
    kernel = shifted_ntk(X, Y, b)
    for i, x in enumerate(X):
        for j, y in enumerate(X if Y is None else Y):
            expected, error = kernel_of(x, y, b)
            assert abs(kernel[i, j] - expected) <= error, (x, y, b, kernel[i, j], expected)


@pytest.mark.parametrize("h", [0.1, 1.0, 3.0, 8.0, 20.0])
def test_oracle_has_the_closed_forms(h):
    with mpmath.workdps(30):
        tail = float(mpmath.ncdf(-h))
    assert orthant(h, h, -math.inf) == pytest.approx(tail, rel=2e-13)
    assert orthant(h, 2 * h, -math.inf) == pytest.approx(float(mpmath.ncdf(-2 * h)), rel=3e-13)
    assert orthant(h, h, 0.0) == pytest.approx(tail**2, rel=2e-13)
    assert orthant(h, 0.5, 0.0) == pytest.approx(tail * float(mpmath.ncdf(-0.5)), rel=2e-13)


@pytest.mark.parametrize(("h", "k", "rho"), [(1.0, 2.0, 0.7), (0.5, 0.6, -0.5), (5.0, 5.5, 0.95), (3.0, 1.0, -0.8)])
def test_oracle_is_the_integral_over_one_variable(h, k, rho):
    with mpmath.workdps(30):
        root = mpmath.sqrt(1 - mpmath.mpf(rho) ** 2)
        scale = mpmath.npdf(h)  # quad aims at absolute accuracy

        def density(u):
            return mpmath.npdf(u) / scale * mpmath.ncdf(-(k - rho * u) / root)

        expected = scale * mpmath.quad(density, [h, h + 0.5, h + 1, h + 2, h + 4, h + 8, h + 16])
    assert orthant(h, k, math.log((1 - rho) / (1 + rho)) / 2) == pytest.approx(float(expected), rel=1e-12)


# ---------------------------------------------------------------------- values

ANGLES = [0.0, *(10.0**-k for k in (16, 12, 8, 7, 4, 2)), 0.3, 0.7, 1.2, math.pi / 2, 1.8, 2.4, 2.8, 3.0, 3.14, math.pi]


@pytest.mark.parametrize("b", [1e-200, 1e-6, 0.01, 0.3, 1.0, 1.7, 2.49, 2.51, 3.0, 5.0, 8.0, 12.0, 30.0])
def test_values_over_all_angles_and_norms(b):
    X = np.array([[norm, 0.0] for norm in (1.0, 1.0 + 1e-12, 0.8, 3.0)])
    Y = np.array([[norm * math.cos(a), norm * math.sin(a)] for a in ANGLES for norm in (1.0, 1.0001)])
    assert_kernel_is_right(X, Y, b)
    assert_kernel_is_right(Y[:3], X, b)


@pytest.mark.parametrize("b", [0.0, 0.5, 2.0, 5.0, 8.0])
@pytest.mark.parametrize("k", range(1, 17))
def test_correlations_near_one_and_minus_one(b, k):
    small = 10.0**-k
    for rho in (1 - small, -(1 - small)):
        y = [rho, math.sqrt((1 - abs(rho)) * (1 + abs(rho)))]
        assert_kernel_is_right([[1.0, 0.0], [0.5, 0.0]], [y], b)


@pytest.mark.parametrize("rho", [-1.0, -0.9, -0.1, 0.0, 0.5, 0.999, 1.0])
def test_without_a_shift_it_is_the_arc_sine(rho):
    y = [[rho, math.sqrt(1 - rho * rho)]]
    expected = rho * (0.25 + math.asin(rho) / (2 * math.pi))
    assert shifted_ntk([[1.0, 0.0]], y)[0, 0] == pytest.approx(expected, rel=1e-14, abs=1e-16)
    assert shifted_ntk([[3.0, 0.0]], np.multiply(y, 0.5))[0, 0] == pytest.approx(1.5 * expected, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize("b", [0.0, 0.5, 1.0, 2.0, 5.0, 8.0, 37.0])
def test_equal_and_opposite_and_nearly_orthogonal_rows(b):
    tail = ndtr(-b)
    kernel = shifted_ntk([[1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0], [1e-12, 1.0], [0.0, 1.0], [0.5, 0.0]], b)[0]
    assert kernel[0] == pytest.approx(tail, rel=1e-12)
    assert kernel[1] == 0
    assert kernel[2] == pytest.approx(1e-12 * tail**2, rel=1e-9, abs=1e-306)
    assert kernel[3] == 0
    assert kernel[4] == pytest.approx(0.5 * ndtr(-2 * b), rel=1e-12, abs=1e-300)


@given(
    rows=st.lists(
        st.lists(st.floats(-3, 3) | st.integers(-2, 2).map(float), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    b=st.floats(0, 8) | st.sampled_from([0.0, 1e-9, 1.0, 2.5, 5.0]),
    nearly=st.integers(1, 16),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_any_rows_and_their_near_copies(rows, b, nearly, sign):
    X = np.array(rows)
    X[np.abs(X) < 1e-3] = 0.0
    Y = sign * X + 10.0**-nearly * np.array([1.0, -0.5, 0.25])
    assert_kernel_is_right(X, Y, b)
    assert_kernel_is_right(X, None, b)


@pytest.mark.parametrize("n_columns", [1, 2, 7, 300])
def test_values_in_several_dimensions(seed, n_columns):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((6, n_columns))
    Y = X[:3] + 1e-3 * rng.standard_normal((3, n_columns))
    for scale in (1.0, 1 / np.sqrt(n_columns)):
        assert_kernel_is_right(scale * X, scale * Y, 1.5)


@pytest.mark.parametrize("b", [0.0, 1.5])
def test_the_scale_of_rows_and_shift_goes_through(seed, b):
    X = np.random.default_rng(seed).standard_normal((20, 5))
    kernel = shifted_ntk(X, shift=b)
    for power in (-300, -100, 100, 300):
        scale = 2.0**power
        assert np.allclose(shifted_ntk(scale * X, shift=scale * b), scale * scale * kernel, rtol=1e-13, atol=0)


def test_rows_of_very_different_norms():
    X = [[1e-150, 1e-150], [1e150, 0.0], [0.0, 1e3], [1.0, 1.0]]
    kernel = shifted_ntk(X, shift=1.0)
    assert np.isfinite(kernel).all()
    assert kernel[0, 1] == kernel[0, 0] == 0
    # the half plane of the long row begins at the origin
    assert kernel[1, 3] == pytest.approx(
        1e150 * orthant(0.0, math.sqrt(0.5), math.log(math.tan(math.pi / 8))), rel=1e-12
    )


# ---------------------------------------------------------------------- the matrix


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 300])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("b", [0.0, 1.2, 4.0])
def test_symmetric_with_tails_on_the_diagonal_and_the_same_as_of_two_sets(seed, n, unit, b):
    X = np.random.default_rng(seed).standard_normal((n, 4))
    if unit:
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    kernel = shifted_ntk(X, shift=b)
    assert kernel.dtype == np.float64
    assert kernel.shape == (n, n)
    assert np.array_equal(kernel, kernel.T)
    assert np.array_equal(kernel, shifted_ntk(X, X, b))
    norms = np.linalg.norm(X, axis=1)
    assert np.allclose(np.diag(kernel), norms**2 * ndtr(-b / norms), rtol=1e-14, atol=0)
    other = shifted_ntk(X, X[: n // 2 + 1].copy(), b)
    assert np.allclose(other, kernel[:, : n // 2 + 1], rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("b", [0.0, 1.0, 3.0])
def test_positive_semidefinite_up_to_rounding(seed, b):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 3)) * rng.uniform(0.3, 3, (60, 1))
    X = np.concatenate([X, X[:20] + 1e-6 * rng.standard_normal((20, 3)), X[:10], -X[:10], 2 * X[:10]])
    eigenvalues = np.linalg.eigvalsh(shifted_ntk(X, shift=b))
    assert eigenvalues[0] >= -1e-14 * len(X) * eigenvalues[-1]
    # equal diagonals, so that differences far below the largest entries show
    kernel = shifted_ntk(X, shift=b)
    root = np.sqrt(np.diag(kernel))
    assert np.linalg.eigvalsh(kernel / np.outer(root, root))[0] >= -1e-12


def test_rows_of_zeros(seed):
    X = np.random.default_rng(seed).standard_normal((5, 3))
    X[2] = 0.0
    for b in (0.0, 1.0):
        kernel = shifted_ntk(X, shift=b)
        assert np.array_equal(kernel[2], np.zeros(5))
        assert np.array_equal(kernel[:, 2], np.zeros(5))
        others = [0, 1, 3, 4]
        assert np.allclose(kernel[np.ix_(others, others)], shifted_ntk(X[others], shift=b), rtol=1e-14)
        assert np.array_equal(shifted_ntk(np.zeros((2, 3)), X, b), np.zeros((2, 5)))


@pytest.mark.parametrize("b", [0.0, 1.0, 4.0])
def test_duplicates_have_equal_rows(seed, b):
    X = np.random.default_rng(seed).standard_normal((150, 6))
    kernel = shifted_ntk(np.concatenate([X, X]), shift=b)
    for block in (kernel[:150, 150:], kernel[150:, 150:]):
        assert np.allclose(block, kernel[:150, :150], rtol=1e-12, atol=1e-15)


def test_results_do_not_depend_on_what_is_gathered_at_a_time_and_inputs_are_left_alone(seed, monkeypatch):
    X = 1.0 + 1e-3 * np.random.default_rng(seed).standard_normal((140, 3))  # every angle is computed from differences
    X.flags.writeable = False
    before, kernel = X.copy(), shifted_ntk(X, shift=1.0)
    monkeypatch.setattr(any_norms, "_NUMBERS_PER_GATHER", 50)
    assert np.array_equal(shifted_ntk(X, shift=1.0), kernel)
    assert np.array_equal(X, before)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_do_not_depend_on_threads(seed, monkeypatch, n_threads):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((400, 10))
    kernel = shifted_ntk(X, shift=1.0)
    monkeypatch.setattr("sltrees.execution.threads.default_threads", lambda: n_threads)
    assert np.array_equal(shifted_ntk(X, shift=1.0), kernel)


def test_single_precision_integers_lists_and_other_orders(seed):
    X = np.random.default_rng(seed).standard_normal((9, 4)).astype(np.float32)
    kernel = shifted_ntk(X, shift=1.0)
    assert kernel.dtype == np.float64
    for same in (X.astype(np.float64), np.asfortranarray(X), X.tolist()):
        assert np.array_equal(shifted_ntk(same, shift=1.0), kernel)
    assert np.array_equal(shifted_ntk([[1, 0], [1, 1]]), shifted_ntk([[1.0, 0.0], [1.0, 1.0]]))


# ---------------------------------------------------------------------- what it is the limit of


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_gram_matrices_of_drawn_networks_converge_to_it(seed, b):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 5))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    X[6:] *= rng.uniform(0.8, 1.5, (6, 1))
    X[1] = X[0] + 0.01 * X[1]
    kernel, products = shifted_ntk(X, shift=b), X @ X.T
    probability = kernel / products
    deviation = np.sqrt(probability * (1 - probability))
    n_networks = 8
    for width in 2 ** np.arange(8, 17):
        mean = np.zeros_like(kernel)
        for state in range(n_networks):
            network = ShiftedReLUNetwork(int(width), shift=b, init="gaussian", random_state=state + 100 * seed)
            W, _ = network.initialize(X).dense_weights()
            assert network.shift_ == b
            fires = (X @ W.T > b).astype(np.float64)
            gram = products * (fires @ fires.T) / width
            # counts are binomial; the second term is for pairs on which hardly any neuron fires
            assert np.all(np.abs(gram - kernel) <= np.abs(products) * (6 * deviation / np.sqrt(width) + 12 / width))
            mean += gram / n_networks
        spread = 6 * deviation / np.sqrt(n_networks * width) + 12 / (n_networks * width)
        assert np.all(np.abs(mean - kernel) <= np.abs(products) * spread)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0],), ValueError, r"X must have 2 dimensions, got shape \(2,\)"),
        ((np.zeros((0, 2)),), ValueError, "X must have at least 1 row and 1 column"),
        (([[1.0, np.nan]],), ValueError, "X must be finite in float64, got nan"),
        (([["a"]],), TypeError, "X must hold real numbers"),
        (([[1.0]], [[np.inf]]), ValueError, "Y must be finite in float64, got inf"),
        (([[1.0]], [[1.0, 2.0]]), ValueError, "Y must have 1 columns, got 2"),
        (([[1.0]], [1.0]), ValueError, r"Y must have 2 dimensions, got shape \(1,\)"),
        (([[1.0]], None, -1.0), ValueError, "shift must be finite and at least 0, got -1.0"),
        (([[1.0]], None, np.inf), ValueError, "shift must be finite and at least 0, got inf"),
        (([[1.0]], None, "auto"), TypeError, "shift must be a real number, got 'auto'"),
        (([[1e200]],), ValueError, r"products of rows must be finite in float64, got norms of 1e\+200 and 1e\+200"),
        (([[1e200]], [[1e200]]), ValueError, "products of rows must be finite"),
    ],
)
def test_bad_input_is_refused_with_rule_and_value(arguments, error, message):
    with pytest.raises(error, match=message):
        shifted_ntk(*arguments)


def test_more_than_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"a kernel of shape \(100, 100\) needs 80,000 bytes"):
        shifted_ntk(np.ones((100, 2)))
