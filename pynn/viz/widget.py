"""A page as a widget in a notebook, by anywidget, which is imported on use: what the page does is seen in Python."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pynn.web import HERE

__all__ = ["TRAITS", "widget"]

#: What the page tells of itself, and what it is before the page has said anything.
TRAITS: dict[str, Any] = {"settings": {}, "parameters": [], "epoch": 0, "loss": None, "script": ""}


def widget(page: str, title: str, height: int) -> Any:
    """Return a page as a widget.

    Parameters
    ----------
    page : str
        HTML.
    title : str
        What a screen reader says of the frame.
    height : int
        In pixels.

    Raises
    ------
    ImportError
        If anywidget (extra ``notebook``) is not installed.
    """
    return _kind()(page=page, title=title, height=height)


@functools.cache
def _kind() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError('[viz] widgets need anywidget. help: pip install "pynn-dl[notebook]"') from error

    def arrays(self: Any) -> list[np.ndarray]:
        """Return the weights of now, in the order of model.set_weights()."""
        return [np.array(one["values"], np.float32).reshape(one["shape"]) for one in self.parameters]

    traits = {name: traitlets.Any(default).tag(sync=True) for name, default in TRAITS.items()}
    shown: dict[str, Any] = {"page": traitlets.Unicode(), "title": traitlets.Unicode(), "height": traitlets.Int(900)}
    members: dict[str, Any] = {name: trait.tag(sync=True) for name, trait in shown.items()} | traits
    script = (HERE / "js" / "widget.js").read_text(encoding="utf-8")
    return type("PlaygroundWidget", (anywidget.AnyWidget,), members | {"_esm": script, "arrays": arrays})
