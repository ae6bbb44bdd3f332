"""Joint steps of networks of classes with one row a sample: margins, curvature, steps, all by definition."""

import numpy as np
import pytest
import scipy.special
from problems import random_problem

from sltrees import ShiftedReLUNetwork, reference
from sltrees.losses import HalfMultinomialLoss, LogisticLoss
from sltrees.reference.softmax_steps import margins
from sltrees.training.damping import LevenbergMarquardt

SHIFT, C = 1.0, 4


def problem():
    X, y = random_problem(0, 24, 4)
    return X, np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75]))


def logits_and_labels():
    rng = np.random.default_rng(0)
    logits = 3.0 * rng.standard_normal((50, C))
    logits[:3] *= 300.0  # of which exponentials overflow
    return logits, rng.integers(0, C, 50)


def test_the_loss_of_the_margin_is_that_of_the_softmax_with_the_same_slopes():
    logits, labels = logits_and_labels()
    Y, loss = np.eye(C)[labels], HalfMultinomialLoss()
    z, directions = margins(logits, labels)
    assert np.allclose(LogisticLoss().value(0.0, z), loss.value(Y, logits)[:, 0], rtol=1e-12, atol=1e-12)
    slopes = LogisticLoss().gradient(0.0, z)[:, None] * directions
    assert np.allclose(slopes, loss.gradient(Y, logits), rtol=1e-12, atol=1e-12)
    for c in range(C):
        moved = 1e-6 * (np.arange(C) == c)
        difference = margins(logits + moved, labels)[0] - margins(logits - moved, labels)[0]
        assert np.allclose(difference[3:] / 2e-6, directions[3:, c], atol=1e-7)


def test_what_the_curvature_lacks_is_that_among_the_other_classes():
    logits, labels = logits_and_labels()
    p = scipy.special.softmax(logits[3:], axis=1)
    z, directions = margins(logits[3:], labels[3:])
    kept = scipy.special.expit(z) * scipy.special.expit(-z)
    for row, y, v, h in zip(p, labels[3:], directions, kept, strict=True):
        lacking = np.diag(row) - np.outer(row, row) - h * np.outer(v, v)
        q = np.where(np.arange(C) == y, 0.0, row) / (1.0 - row[y])
        assert np.allclose(lacking, (1.0 - row[y]) * (np.diag(q) - np.outer(q, q)), atol=1e-12)
        assert np.linalg.eigvalsh(lacking).min() > -1e-12


def test_of_two_classes_the_curvature_is_exact():
    logits, labels = logits_and_labels()
    p = scipy.special.softmax(logits[3:, :2], axis=1)
    z, directions = margins(logits[3:, :2], labels[3:] % 2)
    h = scipy.special.expit(z) * scipy.special.expit(-z)
    assert np.array_equal(np.abs(directions), np.ones_like(directions))
    assert np.allclose(h, p[:, 0] * p[:, 1], rtol=1e-10)


def one_row_steps_by_definition(W, signs, X, labels, alpha, n_steps):
    """All weights after each step: (J^T H J + c I) p = -J^T l' - alpha D in all weights of all networks at once."""
    n, initial = len(X), np.stack([W] * C)
    weights, rule = initial.copy(), LevenbergMarquardt(n)
    offsets = np.log(np.bincount(labels) / n)
    offsets -= offsets.mean()
    unit = np.sum(reference.dense_jacobian(W, signs, SHIFT, X) ** 2) / n
    ridge, found = alpha * unit, []

    def logits(weights):
        return np.stack([reference.network_outputs(w, signs, SHIFT, X) for w in weights], axis=1) + offsets

    def loss(weights):
        f = logits(weights)
        losses = scipy.special.logsumexp(f, axis=1) - f[np.arange(n), labels]
        return losses.sum() + 0.5 * ridge * np.sum((weights - initial) ** 2)

    for _ in range(n_steps):
        f = logits(weights)
        J = np.zeros((n, weights.size))  # of margins, sample by sample
        slopes, h = np.empty(n), np.empty(n)
        jacobians = [reference.dense_jacobian(w, signs, SHIFT, X) for w in weights]
        for i, y in enumerate(labels):
            p = scipy.special.softmax(f[i])
            v = np.where(np.arange(C) == y, -1.0, p / (1.0 - p[y]))
            J[i] = np.concatenate([v[c] * jacobians[c][i] for c in range(C)])
            slopes[i], h[i] = 1.0 - p[y], max(p[y] * (1.0 - p[y]), (1.0 - p[y]) / 4.0)
        c, D = ridge + rule.damping * unit, (weights - initial).ravel()
        step = np.linalg.solve(J.T @ (h[:, None] * J) + c * np.eye(J.shape[1]), -J.T @ slopes - ridge * D)
        change = J @ step
        promised = -(slopes @ change + 0.5 * h @ change**2 + ridge * (D @ step + 0.5 * step @ step))
        trial = weights + step.reshape(weights.shape)
        fallen = loss(weights) - loss(trial)
        if fallen > 0:
            weights = trial
            rule.accept(fallen / promised)
        else:
            rule.refuse()
        found.append((weights, fallen > 0))
    return found


def network():
    X, labels = problem()
    W, signs = ShiftedReLUNetwork(48, shift=0.5, random_state=0, dtype="float64").initialize(X).dense_weights()
    return W, signs, X, labels


def test_every_joint_step_is_that_of_all_weights():
    W, signs, X, labels = network()
    found = reference.softmax_gauss_newton(W, signs, SHIFT, X, labels, form="one row", alpha=0.05, max_iter=6)
    expected = one_row_steps_by_definition(W, signs, X, labels, 0.05, 6)
    assert found.accepted == [was_kept for _, was_kept in expected]
    assert any(found.accepted)
    for weights, (wanted, _) in zip(found.weights[1:], expected, strict=True):
        assert np.linalg.norm(weights - wanted) <= 1e-8 * np.linalg.norm(wanted - W)


@pytest.mark.parametrize("form", reference.softmax_steps.FORMS)
def test_without_a_ridge_the_first_step_has_no_damping_and_fits_the_parabolas(form):
    W, signs, X, labels = network()
    found = reference.softmax_gauss_newton(W, signs, SHIFT, X, labels, form=form, max_iter=8)
    assert found.losses[-1] < 0.5 * found.losses[0]
    again = np.concatenate([X, X[:2]]), np.concatenate([labels, labels[:1], (labels[1:2] + 1) % C])
    found = reference.softmax_gauss_newton(W, signs, SHIFT, *again, form=form, max_iter=8)
    assert found.losses[-1] < 0.7 * found.losses[0]


def test_both_forms_lower_the_same_loss():
    W, signs, X, labels = network()
    ends = []
    for form in ("turns", "one row"):
        found = reference.softmax_gauss_newton(W, signs, SHIFT, X, labels, form=form, alpha=0.3, max_iter=40)
        assert all(after <= before for before, after in zip(found.losses, found.losses[1:], strict=False))
        ends.append(found.losses[-1])
    assert ends[0] == pytest.approx(ends[1], rel=0.02)
    assert max(ends) < 0.8 * found.losses[0]
    with pytest.raises(ValueError, match="form must be one of"):
        reference.softmax_gauss_newton(W, signs, SHIFT, X, labels, form="rows")
