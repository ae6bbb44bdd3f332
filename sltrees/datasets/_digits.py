"""The UCI optical digits."""

from __future__ import annotations

import gzip
import importlib.resources

import numpy as np
import numpy.typing as npt


def load_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Load 1,797 images of handwritten digits, 8 x 8 pixels.

    Returns
    -------
    X : ndarray of shape (1797, 64), dtype=float64
        Pixels row by row, 0 to 16.
    y : ndarray of shape (1797,), dtype=int64
        The digit, 0 to 9.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    https://doi.org/10.24432/C50P49, CC BY 4.0. These are the images of its test part.

    Examples
    --------
    >>> from sltrees import load_digits
    >>> X, y = load_digits()
    >>> X.shape, y[:10]
    ((1797, 64), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    """
    path = importlib.resources.files("sltrees.datasets") / "digits.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode("ascii")
    table = np.array(text.replace("\n", ",").rstrip(",").split(","), dtype=np.int64).reshape(-1, 65)
    return table[:, :64].astype(np.float64), table[:, 64].copy()
