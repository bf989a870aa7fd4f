"""Features of images from K-means: no labels, one layer."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

import pynn
from pynn import ops
from pynn.checks import integer, number
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.estimators.lloyd import lloyd
from pynn.estimators.parameters import keep
from pynn.estimators.patches import all_patches, as_images, normalized, some_patches
from pynn.estimators.zca import ZCA
from pynn.keywords import Spelled

__all__ = ["KMeansFeatures"]

BLOCK = 1 << 23  # numbers in the patches of a block of images


class KMeansFeatures(Spelled, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """f_k = sum over a part of the image of max(0, mean of z - z_k), z_k = |W p - c_k| for every patch p.

    Patches are cut from the training images at random, made equal in brightness and contrast, whitened (:class:`ZCA`)
    and grouped by K-means, which needs no labels. An image is then described by the distances z of all of its patches
    to the centroids: those nearer than the mean count ("triangle"), and are summed over each part of the image. A
    linear classifier on these features, such as ``MLPClassifier((), solver="lbfgs", loss="squared_hinge")``, is what
    learns from labels.

    Parameters
    ----------
    n_features : int, default 1600
        Centroids; each part of an image has so many features.
    patch_size : int, default 6
        Rows and columns of a patch.
    stride : int, default 1
        Pixels from patch to patch; larger ones are faster and worse.
    pool : int, default 2
        The image is cut into pool x pool parts.
    n_patches : int, default 400000
        Patches that K-means sees.
    contrast_eps : float, default 10.0
        Added to the variance of a patch before it is divided by; of the scale of pixels of 0 ... 255.
    zca_eps : float, default 0.1
        ``eps`` of the whitening.
    max_iter : int, default 50
        The most rounds of K-means.
    tol : float, default 1e-3
        K-means ends when its mean squared distance falls by less than this share.
    random_state : int, RandomState or None, default None
        For the patches and the first centroids.

    Attributes
    ----------
    centroids_ : ndarray of float32 [n_features, patch_size * patch_size * channels]
        In the whitened space.
    zca_ : ZCA
    inertia_ : list of float
        Mean squared distance in each round.
    n_reseeded_ : int
        How often an empty cluster was begun anew, at a patch far from its centroid.
    n_iter_ : int
    image_shape_ : tuple
        Rows, columns and channels of the training images.

    Raises
    ------
    ShapeError
        If data are no images, or are smaller than a patch, or have fewer patches in a row than parts.
    ValueError
        If a parameter is out of range, or there are fewer patches than centroids.

    Warns
    -----
    ConvergenceWarning
        If K-means still improves after `max_iter` rounds, or clusters are empty in the end.

    Notes
    -----
    Pixels are taken as they are: `contrast_eps` is meant for uint8 images. Images are transformed in blocks, so that
    beside the features themselves some tens of megabytes are needed.

    References
    ----------
    Coates, Lee, Ng: An analysis of single-layer networks in unsupervised feature learning (AISTATS 2011).

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
    >>> features = KMeansFeatures(n_features=16, n_patches=500, random_state=0).fit_transform(images)
    >>> features.shape, features.dtype
    ((20, 64), dtype('float32'))
    """

    def __init__(
        self,
        *,
        n_features: int = 1600,
        patch_size: int = 6,
        stride: int = 1,
        pool: int = 2,
        n_patches: int = 400_000,
        contrast_eps: float = 10.0,
        zca_eps: float = 0.1,
        max_iter: int = 50,
        tol: float = 1e-3,
        random_state: Any = None,
    ):
        keep(locals())

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the whitening and the centroids.

        Parameters
        ----------
        X : array_like [N, H, W] or [N, H, W, C]
        y : object, optional
            Not looked at.

        Returns
        -------
        self
        """
        place = "KMeansFeatures"
        size, count = integer(place, "patch_size", self.patch_size, 1), integer(place, "n_patches", self.n_patches, 2)
        k, most = integer(place, "n_features", self.n_features, 1), integer(place, "max_iter", self.max_iter, 1)
        tol, offset = number(place, "tol", self.tol, 0), number(place, "contrast_eps", self.contrast_eps, 0)
        images = as_images(place, X, size)
        self._parts(images.shape)
        if count < k:
            raise ValueError(
                f"[{place}] expected a patch for each centroid at least. Received: n_patches={count}, n_features={k}."
            )
        rng = check_random_state(self.random_state)
        patches = normalized(some_patches(images, size, count, rng), offset)
        self.zca_ = ZCA(eps=self.zca_eps).fit(patches)
        found = lloyd(self.zca_.transform(patches), k, most, tol, rng)
        self.centroids_, self.inertia_, self.n_reseeded_ = found.centroids, found.inertia, found.reseeded
        self.n_iter_, self.image_shape_ = len(found.inertia), images.shape[1:]
        if found.empty:
            warnings.warn(
                f"[{place}] {found.empty} of {k} clusters are empty. help: fewer features, or more patches.",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif not found.converged:
            warnings.warn(
                f"[{place}] K-means still improves after max_iter={most} rounds.", ConvergenceWarning, stacklevel=2
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Parameters
        ----------
        X : array_like [N, H, W] or [N, H, W, C]
            Of any size that has a patch for every part, with the channels of the training images.

        Returns
        -------
        ndarray of float32 [N, pool * pool * n_features]
            Part after part.
        """
        check_is_fitted(self)
        size = self.patch_size
        images = as_images("KMeansFeatures", X, size)
        if images.shape[3] != self.image_shape_[2]:
            raise ShapeError(
                f"[KMeansFeatures] expected images of {self.image_shape_[2]} channels, as in fit. "
                f"Received: {images.shape[3]}."
            )
        rows, columns = self._parts(images.shape)
        encode = _Encoder(self.centroids_)
        out = np.empty((len(images), self.pool, self.pool, len(self.centroids_)), np.float32)
        step = max(BLOCK // (rows[-1] * columns[-1] * self.centroids_.shape[1]), 1)
        with ThreadPoolExecutor(pynn.get_num_threads()) as pool:
            for at in range(0, len(images), step):
                patches = normalized(all_patches(images[at : at + step], size, self.stride), self.contrast_eps)
                white = (patches - self.zca_.mean_) @ self.zca_.whitening_
                block = out[at : at + step]

                def describe(n: int, white: np.ndarray = white, block: np.ndarray = block) -> None:
                    for i, j in np.ndindex(self.pool, self.pool):
                        part = white[n, rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
                        block[n, i, j] = encode(part.reshape(-1, part.shape[-1]))

                list(pool.map(describe, range(len(white))))  # products of one image are too small to share well
        return out.reshape(len(images), -1)

    def _parts(self, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Return where the parts of an image's patches begin and end, in rows and in columns."""
        stride = integer("KMeansFeatures", "stride", self.stride, 1)
        pool = integer("KMeansFeatures", "pool", self.pool, 1)
        ends = []
        for extent in shape[1:3]:
            places = (extent - self.patch_size) // stride + 1
            if places < pool:
                raise ShapeError(
                    f"[KMeansFeatures] expected a patch for each of {pool} parts of {extent} pixels. Received: "
                    f"{places} patches. help: a smaller pool, patch_size or stride, or larger images."
                )
            ends.append([round(part * places / pool) for part in range(pool + 1)])
        return ends[0], ends[1]

    @property
    def _n_features_out(self) -> int:
        return self.pool * self.pool * len(self.centroids_)


class _Encoder:
    """Sums of the triangle activation over patches: a product gives all squared distances, |p|**2 in a column more."""

    def __init__(self, centroids: np.ndarray):
        c = centroids.astype(np.float32)
        self.weights = Tensor.state(np.concatenate([-2 * c.T, np.ones((1, len(c)), np.float32)]))
        self.bias = Tensor.state((c * c).sum(1))

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        squares = np.einsum("ij,ij->i", patches, patches)[:, None]
        with no_grad():
            rows = Tensor.state(np.concatenate([patches, squares], 1))
            z = ops.dense(rows, self.weights, self.bias, activation="relu").sqrt()
            return ops.relu(z.mean(1, keepdims=True) - z).sum(0).numpy()
