"""What holds for the whole package: the dtype of real numbers, a small number, the order of the axes of images."""

from __future__ import annotations

from pynn.checks import choice, number

__all__ = [
    "backend", "disable_interactive_logging", "enable_interactive_logging", "epsilon", "floatx", "image_data_format",
    "is_interactive_logging_enabled", "set_epsilon", "set_floatx", "set_image_data_format",
]  # fmt: skip

_held = {"floatx": "float32", "epsilon": 1e-7, "format": "channels_last", "interactive": True}


def floatx() -> str:
    """Return the dtype of weights and real numbers: "float32" unless it was set."""
    return _held["floatx"]


def set_floatx(value: str):
    """Set the dtype of real numbers.

    Parameters
    ----------
    value : {"float32", "float64"}
        There is no other: half precision has no use on a processor without units for it.
    """
    _held["floatx"] = choice("set_floatx", "value", value, ("float32", "float64"))


def epsilon() -> float:
    """Return the small number that keeps from dividing by 0: 1e-7 unless it was set."""
    return _held["epsilon"]


def set_epsilon(value: float):
    """Set the small number.

    Parameters
    ----------
    value : float
        More than 0.
    """
    _held["epsilon"] = number("set_epsilon", "value", value, 0, open_low=True)


def image_data_format() -> str:
    """Return the order of the axes of images: "channels_last" unless it was set."""
    return _held["format"]


def set_image_data_format(data_format: str):
    """Set the order of the axes of images.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}
    """
    known = ("channels_last", "channels_first")
    _held["format"] = choice("set_image_data_format", "data_format", data_format, known)


def backend() -> str:
    """Return "pynn"."""
    return "pynn"


def enable_interactive_logging():
    """Let bars of progress move, as in a terminal."""
    _held["interactive"] = True


def disable_interactive_logging():
    """Print a line at the end of each epoch instead of bars that move."""
    _held["interactive"] = False


def is_interactive_logging_enabled() -> bool:
    """Tell whether bars of progress move."""
    return _held["interactive"]
