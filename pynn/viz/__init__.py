"""Pictures of training and of what a model does, drawn by matplotlib (extra ``plot``), which is imported on use.

Every function returns a ``matplotlib.figure.Figure`` and touches neither pyplot nor its backend, so it works the same
in a script without a screen, in a notebook and in a server. Give ``path`` to write the picture to a file.
"""

from __future__ import annotations

from pynn.viz.classes import plot_confusion, plot_mistakes
from pynn.viz.filters import feature_maps, plot_augmented, plot_feature_maps, plot_filters, plot_images
from pynn.viz.frontier import plot_frontier
from pynn.viz.history import plot_history

__all__ = [
    "feature_maps",
    "plot_augmented",
    "plot_confusion",
    "plot_feature_maps",
    "plot_filters",
    "plot_frontier",
    "plot_history",
    "plot_images",
    "plot_mistakes",
]
