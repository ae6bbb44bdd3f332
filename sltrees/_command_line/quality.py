"""How good predictions are, beside those that know nothing: as numbers, and in words."""

from __future__ import annotations

import numpy as np

SHARES = (0.5, 0.9)  # of errors, of which it is said how large they are at most
MOST_CLASSES = 10  # whose errors are said


def of_numbers(residuals, weights, truth, of_truth):
    """How good predictions of numbers are.

    Parameters
    ----------
    residuals : ndarray of shape (k,)
        Targets less predictions.
    weights : ndarray of shape (k,)
    truth : ndarray of shape (n,)
        Targets, of which the mean is the prediction that knows nothing.
    of_truth : ndarray of shape (n,)
        Their weights.

    Returns
    -------
    dict
        As JSON can hold it; empty where there is nothing to measure.
    """
    if not len(residuals):
        return {}
    squares = residuals**2
    mean = np.average(truth, weights=of_truth)
    variance = float(np.average((truth - mean) ** 2, weights=of_truth))
    error = float(np.average(squares, weights=weights))
    spread = float(np.sqrt(np.sum((weights * (squares - error)) ** 2)) / weights.sum())
    order = np.argsort(np.abs(residuals))
    below = np.cumsum(weights[order]) / weights.sum()
    sizes = np.abs(residuals)[order]
    quality = {
        "rows": len(residuals),
        "rmse": float(np.sqrt(error)),
        "mae": float(np.average(np.abs(residuals), weights=weights)),
        "baseline_rmse": float(np.sqrt(variance)),
        "bias": float(np.average(residuals, weights=weights)),
        "error_quantiles": {str(share): float(sizes[np.searchsorted(below, share - 1e-12)]) for share in SHARES},
    }
    if variance > 0:
        quality |= {"r2": 1.0 - error / variance, "standard_error": spread / variance}
    return quality


def of_labels(classes, confusion):
    """How good predictions of labels are.

    Parameters
    ----------
    classes : list
    confusion : ndarray of shape (classes, classes)
        Weights of rows of each class, for each that was predicted.

    Returns
    -------
    dict
        As JSON can hold it; empty where there is nothing to measure.
    """
    total = float(confusion.sum())
    if not total > 0:
        return {}
    accuracy, of_each = float(np.trace(confusion) / total), confusion.sum(axis=1)
    return {
        "rows": total,
        "accuracy": accuracy,
        "standard_error": float(np.sqrt(accuracy * (1.0 - accuracy) / total)),
        "baseline": float(of_each.max() / total),
        "baseline_class": classes[int(of_each.argmax())],
        "classes": classes,
        "confusion": confusion.tolist(),
    }


def short(value):
    """A number to four digits, without an exponent if it is of a usual size.

    Examples
    --------
    >>> short(33592.6), short(0.123456), short(1.5e-9)
    ('33,590', '0.1235', '1.5e-09')
    """
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.4g}"
    digits = max(0, 3 - int(np.floor(np.log10(abs(value)))))
    text = f"{round(value, 3 - int(np.floor(np.log10(abs(value))))):,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def in_words(quality):
    """What is known of the quality, as names and values to be printed."""
    if "rmse" in quality:
        return _numbers_in_words(quality)
    return _labels_in_words(quality) if "confusion" in quality else []


def _numbers_in_words(quality):
    rows = []
    if "standard_error" in quality:
        rows.append(("spread", f"{quality['standard_error']:.2g} (standard error of the score)"))
    said = f"{short(quality['rmse'])} (root mean square); {short(quality['baseline_rmse'])} if the mean were predicted"
    half, most = (short(quality["error_quantiles"][str(share)]) for share in SHARES)
    errors = f"half of them at most {half}, nine of ten at most {most}; {short(quality['mae'])} on average"
    return [*rows, ("error", said), ("errors", errors)]


def _labels_in_words(quality):
    baseline = f"{quality['baseline']:.4f} (accuracy if {quality['baseline_class']!r} were predicted for all)"
    rows = [("spread", f"{quality['standard_error']:.2g} (standard error of the score)"), ("baseline", baseline)]
    classes, confusion = quality["classes"], np.array(quality["confusion"])
    wrong = confusion.sum(axis=1) - np.diag(confusion)
    worst = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    for place in worst:
        others = [
            f"{confusion[place, other]:.4g} taken for {classes[other]}"
            for other in np.argsort(-confusion[place], kind="stable")
            if other != place and confusion[place, other] > 0
        ]
        right = f"{confusion[place, place]:.4g} of {confusion[place].sum():.4g} right"
        rows.append((f"class {classes[place]}", "; ".join([right, *others])))
    return rows
