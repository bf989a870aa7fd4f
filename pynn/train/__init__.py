"""Training: the loop, its callbacks, its progress and the record of what happened."""

from __future__ import annotations

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
from pynn.train.fit import steps
from pynn.train.profile import Profile

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Profile",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "steps",
]
