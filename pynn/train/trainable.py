"""What every module can do once it is compiled: fit, evaluate, predict. Other files do the work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from pynn.keywords import spelled

if TYPE_CHECKING:
    from pynn.losses import Loss
    from pynn.metrics import Metric
    from pynn.optim import Optimizer
    from pynn.train.history import History
    from pynn.train.hooks import Callback
    from pynn.train.network import Network
    from pynn.train.profile import Profile
    from pynn.train.results import Results

    Base = Network  # every module is one; type checkers need not compare them attribute by attribute
else:
    Base = object

__all__ = ["Trainable"]

_predict: Any = None  # pynn.train.evaluate.predict: an import statement takes as long as a small model's whole pass

OneLoss: TypeAlias = "str | Loss | type[Loss] | Callable[..., Any]"
OneMetric: TypeAlias = "str | Metric | Callable[..., Any]"
Metrics: TypeAlias = "OneMetric | Sequence[OneMetric]"  # of one output


class Trainable(Base):
    """The methods of a model that train and run it (Keras names)."""

    # What runs a model lies beside its attributes: it watches those, and would else be part of what it holds.
    __slots__ = ("__dict__", "__weakref__", "_prepared", "_runner", "_trainer")
    stop_training = False
    _trainer: Any
    _runner: Any  # what predict() uses before compile()
    _prepared: Any  # forward passes of few rows, for predict()

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make it with nothing that runs it yet, whatever the constructor takes."""
        made = super().__new__(cls)
        made._trainer = made._runner = made._prepared = None
        return made

    @spelled
    def compile(
        self: Network,
        optimizer: str | Optimizer | type[Optimizer] = "adam",
        loss: OneLoss | Mapping[str, OneLoss | None] | Sequence[OneLoss | None] = "cross_entropy",
        metrics: Metrics | Mapping[str, Metrics | None] | Sequence[Metrics | None] = (),
        seed: int | None = None,
        run_eagerly: bool = False,
        *,
        loss_weights: Mapping[str, float] | Sequence[float] | None = None,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or pynn.optim.Optimizer (or a class of one), default "adam"
        loss : str, pynn.losses.Loss or callable, default "cross_entropy"
            A model whose outputs are those of softmax (sigmoid) is trained with a cross-entropy through the logits,
            whichever layer or function applied it. Keras's names, such as "categorical_crossentropy", take
            probabilities, "cross_entropy" and "binary_cross_entropy" logits too. A function takes (y_true, y_pred);
            see :class:`pynn.losses.FunctionLoss`.
        metrics : sequence of str, pynn.metrics.Metric or callable, default ()
        seed : int, optional
            Seeds shuffling, dropout and the weights that are still to be built; by default the model's own seed.
        run_eagerly : bool, default False
            Run every step op by op, for debugging. The numbers are the same bits.
        loss_weights : dict or list of float, optional
            What the losses of several outputs are multiplied with in their sum, which is minimized; 1 by default.

        Raises
        ------
        ValueError
            If a name is not known; the message gives the nearest known one.
        """
        from pynn.train.trainer import Trainer

        self._trainer = Trainer(self, optimizer, loss, metrics, seed, run_eagerly, loss_weights)
        self._prepared = None  # it may have to predict op by op from now on

    @spelled
    def fit(
        self: Network,
        x: Any,
        y: Any = None,
        *,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: Literal["auto", 0, 1, 2] | bool = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | Literal["balanced"] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        run_eagerly: bool | None = None,
        check_finite: bool = True,
        resume: str | PathLike[str] | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        accumulate: int | None = None,
    ) -> History:
        """Train the model.

        A class that writes ``train_step(self, batch)`` is trained by it, op by op, without a loss of compile(): the
        batch is (x, y) or (x, y, weight) of tensors, and what is returned, a dict of numbers, is logged, as means over
        the rows. ``self.optimizer.apply_gradients(zip(pynn.grad(loss, weights), weights))`` makes the update.
        ``test_step(self, batch)`` is the same for evaluate() and validation_data.

        Parameters
        ----------
        x : array_like [N, ...], tuple (x, y) or (x, y, sample_weight), or what gives such batches
            Whole numbers and truth values become real; token ids stay whole for an Embedding. But uint8 arrays
            of three axes and more are images: they are divided by 255, here and in every other call, unless the model
            begins with :class:`pynn.nn.Rescaling`. A tuple of arrays as x feeds a module with several inputs.
            Batches may come from a list, from an iterable, which is read once per epoch, from a generator with
            `steps_per_epoch`, or from an object with ``__len__`` and ``__getitem__``, whose batches are asked for in an
            order of their own in every epoch (``shuffle=False``: from the first to the last).
        y : array_like [N, ...], optional
            Targets: class numbers or one-hot rows for a cross-entropy, values otherwise.
        batch_size : int or None, default 32
            None is full-batch gradient descent.
        epochs : int, default 1
        verbose : {"auto", 0, 1, 2}, default "auto"
            0 silent, 1 a progress bar (one line per epoch in a pipe), 2 one line per epoch.
        callbacks : sequence of pynn.train.Callback, optional
        validation_split : float, default 0.0
            The share of the last samples that is held out.
        validation_data : tuple (x, y) or (x, y, sample_weight), or what gives such batches, optional
        shuffle : bool, default True
        class_weight : dict of int to float or "balanced", optional
            Class -> weight of its samples, of its steps where each has a class; 1 for classes that are not named.
            "balanced" weighs a class by n / (classes * count), as scikit-learn does.
        sample_weight : array_like [N] or [N, T], optional
            Weights of samples, or of their steps. Losses and metrics are weighted with them.
        initial_epoch : int, default 0
        run_eagerly : bool, optional
            Overrides what compile() was given.
        resume : path-like, optional
            A checkpoint of :class:`pynn.train.ModelCheckpoint`, or a folder of them (the newest counts; without one
            training begins). Training goes on from there to the same bits as if it had not stopped; `epochs` counts
            from the very beginning. Model, optimizer, data, batch size and shuffling must be the same.
        steps_per_epoch : int, optional
            How many batches of an iterable make an epoch. The next epoch reads on; what ends and can be read again
            begins anew.
        validation_steps : int, optional
            How many batches of an iterable as validation_data are taken after each epoch: of a generator the next ones,
            of anything else always the first ones.
        accumulate : int, optional
            Compute each batch in so many segments, one after the other, and add up their gradients before the update:
            a large batch in the memory of a small one. The numbers are those of the whole batch but for rounding, and
            the same bits for the same number of segments. Losses of padded steps are means of the segments' means.
            With batch normalization all segments are in memory at once, unless its layers have sync=False. Default: 1.
        check_finite : bool, default True
            Stop with a NonFiniteError that names batch and layer when a loss is NaN or infinite.

        Returns
        -------
        pynn.train.History
            Ctrl-C ends training after the step that is under way: the history of the finished epochs is returned with
            ``interrupted`` set. A second Ctrl-C does not wait.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        ShapeError
            If data do not fit the model, or x, y and weights have different numbers of rows.
        DataError
            If there are no data, or they hold NaN or infinity, or classes that the model does not know; or if `resume`
            names no checkpoint of this model.
        DTypeError
            If data are no numbers.
        ValueError
            If a setting is out of range: `batch_size`, `epochs`, `validation_split`, `verbose`, and so on.
        TypeError
            If a keyword is not known; the message gives the nearest one.
        NonFiniteError
            If the loss becomes NaN or infinite, unless ``check_finite=False``. Weights are those after the step.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn import nn
        >>> x = np.random.default_rng(0).standard_normal((64, 2)).astype("float32")
        >>> y = (x[:, 0] > x[:, 1]).astype("int64")
        >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
        >>> model.compile("sgd", "cross_entropy", metrics=["accuracy"], seed=0)
        >>> history = model.fit(x, y, batch_size=16, epochs=5, validation_split=0.25, verbose=0)
        >>> list(history.history)
        ['loss', 'accuracy', 'val_loss', 'val_accuracy']
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
        """
        given: dict[str, Any] = {
            "batch_size": batch_size, "epochs": epochs, "verbose": verbose, "callbacks": callbacks,
            "validation_split": validation_split, "validation_data": validation_data, "shuffle": shuffle,
            "class_weight": class_weight, "sample_weight": sample_weight, "initial_epoch": initial_epoch,
            "run_eagerly": run_eagerly, "check_finite": check_finite, "resume": resume,
            "steps_per_epoch": steps_per_epoch, "validation_steps": validation_steps, "accumulate": accumulate,
        }  # fmt: skip
        if hasattr(type(self), "train_step"):
            from pynn.train.own_steps import fit_by_steps

            return fit_by_steps(self, x, y, given)
        from pynn.train.fit import fit

        return fit(self, x, y, **given)

    @spelled
    def evaluate(
        self: Network,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        *,
        sample_weight: Any = None,
        verbose: int = 0,
        callbacks: Callback | Iterable[Callback] | None = None,
        steps: int | None = None,
    ) -> Results:
        """Return the loss and the metrics on data, by name and in order.

        ``loss, accuracy = model.evaluate(x, y)`` and ``model.evaluate(x, y)["accuracy"]`` both work; see
        :class:`pynn.train.Results`.

        Parameters
        ----------
        x : array_like [N, ...], tuple (x, y) or (x, y, sample_weight), or what gives such batches
            As for fit().
        y : array_like [N, ...], optional
            Targets, as for fit().
        batch_size : int, optional
            Rows per pass, by default 256, or fewer where outputs are large; the result does not depend on it beyond
            rounding.
        sample_weight : array_like [N] or [N, T], optional
            As for fit().
        verbose : int, default 0
            1 prints the result.
        callbacks : sequence of pynn.train.Callback, optional
        steps : int, optional
            How many batches to take of an iterable.

        Notes
        -----
        Outputs are measured part by part and not kept, about 16 MB at a time. Two kinds of metric keep more:
        :class:`pynn.metrics.AUC` the scores of all rows, and functions of one's own (:class:`pynn.metrics.Mean`) all
        predictions, as they may need every row at once. A metric class of one's own is given the parts; it asks for
        everything at once with ``streams = False``.

        Any number of threads may call it at once, also while another thread trains the model; which weights it reads
        then, :meth:`predict` says.
        """
        from pynn.train.evaluate import evaluate

        return evaluate(self, x, y, batch_size, sample_weight, verbose, callbacks, steps)

    @spelled
    def predict(
        self: Network,
        x: Any,
        batch_size: int | None = None,
        verbose: int = 0,
        *,
        callbacks: Callback | Iterable[Callback] | None = None,
        steps: int | None = None,
    ) -> np.ndarray:
        """Return the model's output for every row of x, as an array.

        Parameters
        ----------
        x : array_like [N, ...], or what gives batches
            A batch is an array, a tuple (x, y) or (x, y, sample_weight), of which only x counts, or a tuple with an
            array for each input of the model.
        batch_size : int, optional
            Rows per pass, by default 256.
        verbose : int, default 0
            Accepted as Keras does; nothing is printed.
        callbacks : sequence of pynn.train.Callback, optional
        steps : int, optional
            How many batches to take of an iterable.

        Returns
        -------
        ndarray [N, ...]
            Tuples, lists and dicts of arrays if that is what the model returns.

        Raises
        ------
        ShapeError
            If the first axis of an output is not that of the rows. A model that has a batch of one built into it is
            run row by row; one whose rows depend on each other is run whole, whatever batch_size says.

        Notes
        -----
        Any number of threads may call it at once, and while another thread trains the model. Every weight is then read
        as it is at that moment: layers may be of different updates, but no number is half written. ``get_weights()``
        and ``save()`` wait for the end of an update, so theirs is the state between two of them.
        """
        global _predict
        if _predict is None:
            from pynn.train.evaluate import predict as _predict
        return _predict(self, x, batch_size, verbose, callbacks, steps)

    @spelled
    def predict_fn(self: Network, batch_size: int | None = None) -> Callable[[Any], np.ndarray]:
        """Return a prepared function f(x) that predicts like predict(), in microseconds and from any thread.

        The first call for each shape of input prepares it, which takes milliseconds; from then on a call is one native
        call without the GIL, on memory of its own: any number of threads may call f at the same time.

        f sees later changes of the weights (training, set_weights), of layers and of settings, as predict() does. Only
        while another thread trains the model may it read weights of which some are new and some old.

        Parameters
        ----------
        batch_size : int, optional
            Rows per pass, by default 256. Every number of rows up to it is prepared on its own; of more, every pass
            takes so many.

        Returns
        -------
        callable (x) -> ndarray, or tuples, lists and dicts of them as the model returns
            x as for predict(). What is computed in one pass is returned as it is, also outputs whose first axis is not
            that of the rows. Arrays of the model's dtype that are contiguous are taken as they are; others are
            checked and converted on each call.

        Raises
        ------
        RuntimeError
            If the model is not built, or has a layer that carries state from call to call.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn import nn
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="relu"), nn.Dense(3)])
        >>> f, x = model.predict_fn(), np.ones((1, 4), "float32")
        >>> np.array_equal(f(x), model.predict(x))
        True
        """
        from pynn.train.evaluate import predict_fn

        return predict_fn(self, batch_size)

    @spelled
    def train_on_batch(self: Network, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None) -> Results:
        """Make one update on a batch; returns its loss and metrics, as evaluate() does."""
        from pynn.train.fit import on_batch

        return on_batch(self, x, y, sample_weight, class_weight)

    def train_fn(self: Network) -> Callable[[Any, Any], float]:
        """Return a prepared function f(x, y) that makes one update as train_on_batch() does, and returns its loss.

        For loops of one's own, on-line and reinforcement learning: a call takes the time of the step and a few
        microseconds. The first call for each shape of batch prepares it, which takes milliseconds.

        Returns
        -------
        callable (x, y) -> float
            x and y as for train_on_batch(). Contiguous arrays of the model's dtype, and labels of int64 or int32, are
            taken as they are; others are checked and converted on each call. It sees every change of weights, layers
            and settings, also another compile(); one thread at a time trains.

        Raises
        ------
        RuntimeError
            If the model is not compiled.

        Notes
        -----
        What the long way refuses is refused: targets out of range, NaN in inputs, a loss that is not finite,
        after which no update was made. A model with metrics other than accuracy goes the long way every time.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn import nn
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
        >>> model.compile("sgd", "cross_entropy", seed=0)
        >>> step, x, y = model.train_fn(), np.eye(4, dtype="float32"), np.array([0, 1, 2, 0])
        >>> losses = [step(x, y) for _ in range(3)]
        >>> losses == sorted(losses, reverse=True)
        True
        """
        from pynn.train.fit import train_fn

        return train_fn(self)

    @spelled
    def save(
        self,
        path: str | PathLike[str],
        *,
        include_optimizer: bool = True,
        metadata: Mapping[str, Any] | None = None,
        preprocessing: Any = None,
        card: bool = False,
    ) -> None:
        """Write the model into one file, which :func:`pynn.load` reads.

        It is a safetensors file: architecture, loss and optimizer as JSON among its metadata; weights, states and the
        optimizer's slots as tensors. It takes its name when it is whole; a crash or a full disk leaves the old file.

        Parameters
        ----------
        path : path-like
            Usually ``something.pynn``.
        include_optimizer : bool, default True
            False leaves out what only training needs: the file is smaller, and the loaded model is not compiled.
        metadata : dict of str to JSON values, optional
            Anything of yours, such as class names; :func:`pynn.io.read_metadata` returns it.
        preprocessing : transformer of scikit-learn, optional
            A fitted StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, OneHotEncoder, OrdinalEncoder,
            SimpleImputer, ColumnTransformer or Pipeline of these: what it learned is kept as tensors and texts, and
            ``pynn predict`` applies it to tables. :func:`pynn.io.read_preprocessing` returns it. Default: what the
            model was loaded with.
        card : bool, default False
            Also write a model card, Markdown, into a file of the same name with ``.md`` behind it: layers, counts,
            seed, a hash of the weights, the metadata, the machine. ``pynn card FILE`` prints one.

        Raises
        ------
        DataError
            If a layer, function or object has no name that a file can hold; see :func:`pynn.register`. If the
            preprocessing is of another kind or not fitted.
        ValueError
            If the name ends like that of another format, such as ``.h5``, ``.pt`` or ``.onnx``.
        OSError
            If the file cannot be written; the old one is as it was.

        Examples
        --------
        >>> import pynn, tempfile
        >>> model = pynn.nn.Sequential([pynn.nn.Input((4,)), pynn.nn.Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.pynn", metadata={"classes": ["a", "b", "c"]})
        ...     pynn.io.read_metadata(f"{folder}/model.pynn"), pynn.load(f"{folder}/model.pynn").count_parameters()
        ({'classes': ['a', 'b', 'c']}, 15)
        """
        from pynn.io.model_file import save

        save(self, path, include_optimizer, metadata, preprocessing)
        if card:
            from pynn.files import write_whole
            from pynn.io.card import model_card

            write_whole(f"{fspath(path)}.md", model_card(path, self).encode())

    @spelled
    def profile(self: Network, x: Any, y: Any, batch_size: int = 32, steps: int = 50) -> Profile:
        """Time one training step instruction by instruction; the model's weights are restored afterwards.

        Returns
        -------
        pynn.train.Profile
            Prints as a table of op, layer, shape, microseconds, GFLOP/s, GB/s and the bytes read and written.
        """
        from pynn.train.profile import profile

        return profile(self, x, y, batch_size, steps)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that compile() was given."""
        return self._need_trainer("optimizer").optimizer

    @property
    def loss(self) -> Loss:
        """The loss that compile() was given."""
        return self._need_trainer("loss").loss

    def _still(self) -> contextlib.AbstractContextManager[None]:
        """Hold up another thread's training between two updates, inside a ``with`` block."""
        return contextlib.nullcontext() if self._trainer is None else self._trainer.turns.still()

    def _need_trainer(self, place: str) -> Any:
        if self._trainer is None:
            raise RuntimeError(
                f"[{place}] the model is not compiled. help: call model.compile(optimizer=..., loss=...) first."
            )
        return self._trainer

    def assign_seeds(self, seed: int) -> None:
        """Seed the weights that are still to be built: each by `seed` and its module's place in the tree."""
        for i, module in enumerate(self.modules()):
            if not module.built and module._given_seed is None:
                object.__setattr__(module, "_seed", [seed, i])
