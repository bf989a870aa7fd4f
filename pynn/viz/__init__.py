"""Pictures of training and of what a model does, drawn by matplotlib (extra ``plot``), which is imported on use.

Every function returns a ``matplotlib.figure.Figure`` and touches neither pyplot nor its backend, so it works the same
in a script without a screen, in a notebook and in a server. Give ``path`` to write the picture to a file.
"""

from __future__ import annotations

from pynn.core.gradients import jacobian
from pynn.language import language
from pynn.train.plot import plot_history
from pynn.viz.attribution import attribution, plot_attribution
from pynn.viz.classes import plot_confusion, plot_mistakes
from pynn.viz.curves import plot_curves
from pynn.viz.embedding import plot_embedding, principal_components
from pynn.viz.filters import feature_maps, plot_augmented, plot_feature_maps, plot_filters, plot_images
from pynn.viz.frontier import plot_frontier
from pynn.viz.graph import GraphDrawing, draw_graph
from pynn.viz.layers import plot_layers
from pynn.viz.moving import Frames, animate
from pynn.viz.paths import animate_optimizer_paths, plot_optimizer_paths
from pynn.viz.playground import Playground, playground
from pynn.viz.rows import plot_rows
from pynn.viz.sound import plot_sound, plot_sounds
from pynn.viz.stimulus import best_stimulus
from pynn.viz.trace import Trace, trace
from pynn.viz.weights import plot_weights

__all__ = [
    "Frames",
    "GraphDrawing",
    "Playground",
    "Trace",
    "animate",
    "animate_optimizer_paths",
    "attribution",
    "best_stimulus",
    "draw_graph",
    "feature_maps",
    "jacobian",
    "language",
    "playground",
    "plot_attribution",
    "plot_augmented",
    "plot_confusion",
    "plot_curves",
    "plot_embedding",
    "plot_feature_maps",
    "plot_filters",
    "plot_frontier",
    "plot_history",
    "plot_images",
    "plot_layers",
    "plot_mistakes",
    "plot_optimizer_paths",
    "plot_rows",
    "plot_sound",
    "plot_sounds",
    "plot_weights",
    "principal_components",
    "trace",
]
