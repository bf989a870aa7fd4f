"""Training: the loop, its callbacks, its progress and the record of what happened."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pynn.errors import no_such_name

if TYPE_CHECKING:
    from pynn.train.callbacks import (
        Callback,
        CallbackList,
        CSVLogger,
        EarlyStopping,
        History,
        LambdaCallback,
        LearningRateScheduler,
        ModelCheckpoint,
        ProgressBar,
        ReduceLROnPlateau,
        TerminateOnNaN,
    )
    from pynn.train.loggers import JSONLogger, LiveCurve, TensorBoard
    from pynn.train.minimizing import Minimum, minimize
    from pynn.train.profile import Profile
    from pynn.train.pruning import OptunaPruning
    from pynn.train.results import Results
    from pynn.train.stepper import steps
    from pynn.train.views import evaluate_views, predict_views

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "JSONLogger",
    "LambdaCallback",
    "LearningRateScheduler",
    "LiveCurve",
    "Minimum",
    "ModelCheckpoint",
    "OptunaPruning",
    "Profile",
    "ProgressBar",
    "ReduceLROnPlateau",
    "Results",
    "TensorBoard",
    "TerminateOnNaN",
    "evaluate_views",
    "minimize",
    "predict_views",
    "steps",
]

# Where each name lives; loaded when first used, as whoever makes a layer need not train it.
_HOMES = {
    "Callback": "callbacks",
    "CallbackList": "callbacks",
    "CSVLogger": "callbacks",
    "EarlyStopping": "callbacks",
    "evaluate_views": "views",
    "History": "callbacks",
    "JSONLogger": "loggers",
    "LambdaCallback": "callbacks",
    "LearningRateScheduler": "callbacks",
    "LiveCurve": "loggers",
    "minimize": "minimizing",
    "Minimum": "minimizing",
    "ModelCheckpoint": "callbacks",
    "OptunaPruning": "pruning",
    "predict_views": "views",
    "Profile": "profile",
    "ProgressBar": "callbacks",
    "ReduceLROnPlateau": "callbacks",
    "Results": "results",
    "steps": "stepper",
    "TensorBoard": "loggers",
    "TerminateOnNaN": "callbacks",
}


if not TYPE_CHECKING:  # type checkers find slips in names

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(f"pynn.train.{_HOMES[name]}"), name)
        raise no_such_name(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
