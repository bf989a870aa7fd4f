"""The digits that come with scikit-learn: small, real, and there without a download."""

from __future__ import annotations

import numpy as np

from pynn.checks import number

__all__ = ["digits"]

Part = tuple[np.ndarray, np.ndarray]

MAX_INK = 16.0


def digits(test_size: float = 0.2, seed: int = 0) -> tuple[Part, Part]:
    """Return 1,797 handwritten digits of 8 x 8: ``(x, y), (xt, yt)``, split the same way each time.

    The split is stratified: every class gives the same share to the test part.

    Parameters
    ----------
    test_size : float, default 0.2
        Share of the test part, between 0 and 1.
    seed : int, default 0
        Seed of the split.

    Returns
    -------
    (x, y), (xt, yt) : tuples of ndarray
        Images float32 [n, 8, 8] from 0 to 1; labels int64 [n], 0 to 9. By default 1,438 and 359 of them.

    Raises
    ------
    ImportError
        If scikit-learn (extra ``demo``) is not installed.
    ValueError
        If `test_size` is out of range.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> (x, y), (xt, yt) = digits()
    >>> x.shape, x.dtype, len(xt)
    ((1438, 8, 8), dtype('float32'), 359)
    """
    number("digits", "test_size", test_size, 0, 1, open_low=True, open_high=True)
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('[digits] needs scikit-learn. help: pip install "pynn-dl[demo]"') from error
    bunch = load_digits()
    x, y = (bunch.images / MAX_INK).astype(np.float32), bunch.target.astype(np.int64)
    # RandomState's stream is frozen, so the split is the same under every version of NumPy.
    random = np.random.RandomState(seed)
    order = random.permutation(len(y))
    test = np.zeros(len(y), bool)
    for label in range(10):
        members = order[y[order] == label]
        test[members[: round(test_size * len(members))]] = True
    training, testing = order[~test[order]], order[test[order]]
    return (x[training], y[training]), (x[testing], y[testing])
