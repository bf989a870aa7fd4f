"""Rules of linear units z = theta . x, x_0 = 1, sample by sample: each one's update comes before the next one's look.

Numbers are float64, and every sum runs in the order of the features, so results depend on nothing but the data. The
weights of a penalty shrink with every sample; a factor in common stands for that, so rows of few numbers cost few.
"""

from pynn.core._core cimport Buffer

from libc.stdint cimport int32_t, int64_t, uint32_t

cimport cython

import numpy as np

cdef enum:
    PERCEPTRON, STRICT, LEAST_SQUARES, NORMALIZED

RULES = {"perceptron": PERCEPTRON, "strict": STRICT, "least_squares": LEAST_SQUARES, "normalized": NORMALIZED}
cdef double SMALLEST = 1e-9  # of the common factor, before it is multiplied in


cdef Buffer memory(object array, object dtype, tuple shape):
    """Return what numbers lie in. Memoryviews of Cython would take 150 KB in every module that has them."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"expected {np.dtype(dtype)} {shape}. Received: {array.dtype} {array.shape}.")
    return Buffer.of(array)


@cython.final
cdef class Rows:
    """Samples, dense or compressed by rows; nothing is copied.

    Parameters
    ----------
    dense : ndarray of float64 [N, features], or None
    values, columns, starts : ndarray of float64, int32 and int64
        Row i has values[starts[i] : starts[i + 1]] in these columns.
    features : int
    """

    cdef tuple held  # the memory of what follows
    cdef const double *dense
    cdef const double *values
    cdef const int32_t *columns
    cdef const int64_t *starts
    cdef bint sparse
    cdef readonly Py_ssize_t n
    cdef readonly Py_ssize_t features

    def __init__(self, dense, values=None, columns=None, starts=None, Py_ssize_t features=0):
        cdef Buffer numbers, places, edges
        self.sparse = dense is None
        if self.sparse:
            self.n, self.features = len(starts) - 1, features
            numbers = memory(values, np.float64, (len(values),))
            places = memory(columns, np.int32, (len(values),))
            edges = memory(starts, np.int64, (len(starts),))
            if self.n < 0 or starts[0] != 0 or starts[self.n] != len(values) or (np.diff(starts) < 0).any():
                raise ValueError("expected starts of rows that rise from 0 to the number of values")
            if len(columns) and not 0 <= np.min(columns) <= np.max(columns) < features:
                raise ValueError(f"expected columns from 0 to {features - 1}")
            self.held = numbers, places, edges
            self.values, self.columns = <const double *>numbers.ptr, <const int32_t *>places.ptr
            self.starts = <const int64_t *>edges.ptr
        else:
            self.n, self.features = dense.shape
            numbers = memory(dense, np.float64, (self.n, self.features))
            self.held = (numbers,)
            self.dense = <const double *>numbers.ptr

    cdef double dot(self, Py_ssize_t i, const double *w) noexcept nogil:
        """Return w . x of a row."""
        cdef double z = 0
        cdef Py_ssize_t j
        cdef int64_t k
        if self.sparse:
            for k in range(self.starts[i], self.starts[i + 1]):
                z += w[self.columns[k]] * self.values[k]
        else:
            for j in range(self.features):
                z += w[j] * self.dense[i * self.features + j]
        return z

    cdef void add(self, Py_ssize_t i, double factor, double *w) noexcept nogil:
        """Add a multiple of a row to weights."""
        cdef Py_ssize_t j
        cdef int64_t k
        if self.sparse:
            for k in range(self.starts[i], self.starts[i + 1]):
                w[self.columns[k]] += factor * self.values[k]
        else:
            for j in range(self.features):
                w[j] += factor * self.dense[i * self.features + j]

    cdef void clip(self, Py_ssize_t i, double scale, double due, double *paid, double *w) noexcept nogil:
        """Draw the weights of a row's features to 0 by what each has not paid of the penalty that is due."""
        cdef Py_ssize_t j
        cdef int64_t k
        if self.sparse:
            for k in range(self.starts[i], self.starts[i + 1]):
                if self.values[k] != 0:
                    clipped(&w[self.columns[k]], scale, due, &paid[self.columns[k]])
        else:
            for j in range(self.features):
                if self.dense[i * self.features + j] != 0:
                    clipped(&w[j], scale, due, &paid[j])

    cdef double square(self, Py_ssize_t i) noexcept nogil:
        """Return |x|**2 of a row."""
        cdef double total = 0
        cdef Py_ssize_t j
        cdef int64_t k
        if self.sparse:
            for k in range(self.starts[i], self.starts[i + 1]):
                total += self.values[k] * self.values[k]
        else:
            for j in range(self.features):
                total += self.dense[i * self.features + j] * self.dense[i * self.features + j]
        return total

    def largest(self):
        """Return the largest |x|**2 of a row."""
        cdef double most = 0
        cdef Py_ssize_t i
        with nogil:
            for i in range(self.n):
                most = max(most, self.square(i))
        return most

    def outputs(self, theta):
        """Return z of every row; theta is the bias, then the weights."""
        cdef Buffer weights = memory(theta, np.float64, (self.features + 1,))
        found = np.empty(self.n)
        cdef Buffer answers = Buffer.of(found)
        cdef double *z = <double *>answers.ptr
        cdef const double *w = <const double *>weights.ptr
        cdef Py_ssize_t i
        with nogil:
            for i in range(self.n):
                z[i] = w[0] + self.dot(i, w + 1)
        return found


def shuffled(Py_ssize_t n, uint32_t state):
    """Return 0 ... n - 1 in an order by chance: place i is exchanged with one of those from i on.

    Which one, says the low 31 bits of a xorshift generator (Marsaglia 2003, 13, 17, 5); that is the order of
    scikit-learn's stochastic gradient descent too, so that the same seed gives the same steps.
    """
    order = np.arange(n)
    cdef Buffer places = Buffer.of(order)
    cdef int64_t *at = <int64_t *>places.ptr
    cdef Py_ssize_t i, j
    state = state or 1  # 0 would stay 0
    for i in range(n - 1):
        state ^= state << 13
        state ^= state >> 17
        state ^= state << 5
        j = i + <Py_ssize_t>((state & 0x7FFFFFFF) % <uint32_t>(n - i))
        at[i], at[j] = at[j], at[i]
    return order


cdef void clipped(double *w, double scale, double due, double *paid) noexcept nogil:
    cdef double before = scale * w[0], after
    if before > 0:
        after = max(0.0, before - (due + paid[0]))
    elif before < 0:
        after = min(0.0, before + (due - paid[0]))
    else:
        return
    paid[0] += after - before
    w[0] = after / scale


@cython.final
cdef class Unit:
    """The weights of one unit, and the rule that changes them.

    Parameters
    ----------
    theta : ndarray of float64 [features + 1]
        The bias, then the weights; changed in place.
    rule : {"perceptron", "strict", "least_squares", "normalized"}
        theta += rate (y - g(z)) x of a threshold unit, with y and g of 1 and 0, where g(z) is 1 if z > 0; the same with
        samples of both classes wrong at z = 0, and y of 1 and -1; theta += rate (y - z) x; or that by |x|**2, x with
        its x_0 (none for x of zeros alone).
    bias : bool
    l2, l1 : float
        After each sample, weights shrink by rate * l2 of themselves, and by rate * l1 (cumulatively, as Tsuruoka et al.
        2009 have it); the bias does not.
    """

    cdef Buffer weights
    cdef Buffer debts
    cdef double *theta
    cdef double *paid
    cdef Py_ssize_t n  # of theta
    cdef double due, l2, l1
    cdef int rule
    cdef bint bias

    def __init__(self, theta, rule, bint bias, double l2=0, double l1=0):
        if not theta.flags.writeable:
            raise ValueError("expected weights that can be written to")
        self.weights, self.n = memory(theta, np.float64, (len(theta),)), len(theta)
        self.debts = Buffer.of(np.zeros(self.n))
        self.theta, self.paid = <double *>self.weights.ptr, <double *>self.debts.ptr
        self.rule, self.bias, self.l2, self.l1, self.due = RULES[rule], bias, l2, l1, 0

    def run(
        self,
        Rows rows,
        y,
        weight,
        order,
        Py_ssize_t at,
        double rate,
        bint alone=False,
    ):
        """Go through the samples of an order from a place on.

        Parameters
        ----------
        rows : Rows
        y : ndarray of float64 [N]
            1 and -1.
        weight : ndarray of float64 [N] or None
        order : ndarray of int64
        at : int
        rate : float
        alone : bool, default False
            Return after the first update.

        Returns
        -------
        (int, int, float)
            The place reached, the wrong samples, and the sum of max(0, -yz), or of (y - z)**2 / 2.
        """
        cdef Py_ssize_t n = len(order), i
        cdef double *theta = self.theta
        cdef double *w = theta + 1
        cdef double scale = 1, z, error, change, loss = 0, share, length
        cdef int64_t wrong = 0
        cdef bint bad, weighted = weight is not None
        cdef Buffer targets = memory(y, np.float64, (rows.n,)), places = memory(order, np.int64, (n,)), shares = None
        cdef const double *yes = <const double *>targets.ptr
        cdef const int64_t *row = <const int64_t *>places.ptr
        cdef const double *parts = NULL
        if weighted:
            shares = memory(weight, np.float64, (rows.n,))
            parts = <const double *>shares.ptr
        if self.n != rows.features + 1 or at < 0:
            raise ValueError("expected a weight for each feature")
        if rows.features == 0:
            w = NULL
        with nogil:
            while at < n:
                i = row[at]
                if i < 0 or i >= rows.n:
                    with gil:
                        raise ValueError(f"expected an order of {rows.n} rows. Received: {i}.")
                at += 1
                share = parts[i] if weighted else 1.0
                z = theta[0] + scale * rows.dot(i, w)
                if self.rule == LEAST_SQUARES or self.rule == NORMALIZED:
                    error = yes[i] - z
                    loss += share * error * error / 2
                    bad = (z > 0) != (yes[i] > 0)
                    change = rate * share * error
                    if self.rule == NORMALIZED:
                        length = rows.square(i) + self.bias
                        change = change / length if length > 0 else 0
                else:
                    loss += share * max(0.0, -yes[i] * z)
                    bad = yes[i] * z <= 0 if self.rule == STRICT else (z > 0) != (yes[i] > 0)
                    change = rate * share * yes[i] if bad else 0.0
                if share > 0:
                    wrong += bad
                if self.l2 > 0:
                    scale *= max(0.0, 1 - rate * self.l2)
                    if scale < SMALLEST:
                        self.multiply(scale)
                        scale = 1
                if change != 0:
                    rows.add(i, change / scale, w)
                    if self.bias:
                        theta[0] += change
                if self.l1 > 0:
                    self.due += rate * self.l1
                    rows.clip(i, scale, self.due, self.paid, w)
                if alone and change != 0:
                    break
            if scale != 1:
                self.multiply(scale)
        return at, wrong, loss

    cdef void multiply(self, double scale) noexcept nogil:
        cdef Py_ssize_t j
        for j in range(1, self.n):
            self.theta[j] *= scale
