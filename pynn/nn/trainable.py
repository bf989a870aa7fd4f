"""What every module can do once it is compiled: fit, evaluate, predict. The work is done in pynn.train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Trainable"]


class Trainable:
    """The methods of a model that train and run it (Keras names)."""

    stop_training = False
    _trainer: Any = None
    _runner: Any = None  # what predict() uses before compile()

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "cross_entropy",
        metrics: Sequence[Any] = (),
        seed: int | None = None,
        run_eagerly: bool = False,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or pynn.optim.Optimizer, default "adam"
        loss : str or pynn.losses.Loss, default "cross_entropy"
            A model that ends in softmax (sigmoid) with a cross-entropy is trained through the logits.
        metrics : sequence of str, pynn.metrics.Metric or callable
        seed : int, optional
            Seeds shuffling, dropout and the weights that are still to be built; by default the model's own seed.
        run_eagerly : bool, default False
            Run every step op by op, for debugging. The numbers are the same bits.

        Raises
        ------
        ValueError
            If a name is not known; the message gives the nearest known one.
        """
        from pynn.train.trainer import Trainer

        self._trainer = Trainer(self, optimizer, loss, metrics, seed, run_eagerly)

    def fit(self, x: Any, y: Any = None, **options: Any) -> Any:
        """Train the model.

        Parameters
        ----------
        x : array_like [N, ...], tuple (x, y) or (x, y, sample_weight), or iterable of such batches
            uint8 arrays are images: they are scaled to 0..1 batch by batch. A tuple of arrays as x feeds a module with
            several inputs. An iterable is read once per epoch if it can be restarted (has no ``__next__``).
        y : array_like [N, ...]
            Targets: class numbers or one-hot rows for a cross-entropy, values otherwise.
        batch_size : int or None, default 32
            None is full-batch gradient descent.
        epochs : int, default 1
        verbose : {"auto", 0, 1, 2}, default "auto"
            0 silent, 1 a progress bar (one line per epoch in a pipe), 2 one line per epoch.
        callbacks : sequence of pynn.train.Callback
        validation_split : float, default 0.0
            The share of the last samples that is held out.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
        shuffle : bool, default True
        class_weight : dict of int to float, optional
        sample_weight : array_like [N], optional
        initial_epoch : int, default 0
        run_eagerly : bool, optional
            Overrides what compile() was given.
        check_finite : bool, default True
            Stop with a NonFiniteError that names batch and layer when a loss is NaN or infinite.

        Returns
        -------
        pynn.train.History
            Ctrl-C ends training after the step that is under way: the history of the finished epochs is returned with
            ``interrupted`` set. A second Ctrl-C does not wait.
        """
        from pynn.train.fit import fit

        return fit(self, x, y, **options)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        verbose: Any = 0,
        **options: Any,
    ) -> dict[str, float]:
        """Return the loss and the metrics on data, as a dict.

        Parameters
        ----------
        x, y, sample_weight
            As for fit().
        batch_size : int, optional
            Rows per pass, by default 256; the result does not depend on it beyond rounding.
        verbose : int, default 0
            1 prints the result.
        callbacks : sequence of pynn.train.Callback
        """
        from pynn.train.evaluate import evaluate

        return evaluate(self, x, y, batch_size, sample_weight, verbose, **options)

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = 0, **options: Any) -> np.ndarray:
        """Return the model's output for every row of x, as an array.

        Parameters
        ----------
        x : array_like [N, ...]
        batch_size : int, optional
            Rows per pass, by default 256.
        """
        from pynn.train.evaluate import predict

        return predict(self, x, batch_size, verbose, **options)

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> dict[str, float]:
        """Make one update on a batch; returns its loss and metrics."""
        from pynn.train.fit import train_on_batch

        return train_on_batch(self, x, y, sample_weight, class_weight)

    def profile(self, x: Any, y: Any, batch_size: int = 32, steps: int = 50) -> Any:
        """Time one training step instruction by instruction; the model's weights are restored afterwards.

        Returns
        -------
        pynn.train.Profile
            Prints as a table of op, layer, shape, microseconds, GFLOP/s and GB/s.
        """
        from pynn.train.profile import profile

        return profile(self, x, y, batch_size, steps)

    def summary(self, input_shape: Sequence[int] | None = None, file: Any = None) -> None:
        """Print layers with output shapes, parameters, bytes and floating-point operations per sample."""
        from pynn.nn.summary import summary

        print(summary(self, input_shape), file=file)

    @property
    def optimizer(self) -> Any:
        """The optimizer that compile() was given."""
        return self._need_trainer("optimizer").optimizer

    @property
    def loss(self) -> Any:
        """The loss that compile() was given."""
        return self._need_trainer("loss").loss

    def _need_trainer(self, place: str) -> Any:
        if self._trainer is None:
            raise RuntimeError(
                f"[{place}] the model is not compiled. help: call model.compile(optimizer=..., loss=...) first."
            )
        return self._trainer

    def assign_seeds(self, seed: int) -> None:
        """Seed the weights that are still to be built: each by `seed` and its module's place in the tree."""
        for i, module in enumerate(self.modules()):  # type: ignore[attr-defined]
            if not module.built and module._given_seed is None:
                object.__setattr__(module, "_seed", [seed, i])
