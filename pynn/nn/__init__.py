"""Layers and models."""

from pynn.nn.layers import Activation, Dense, Dropout, Flatten, Input, Maxout, Reshape
from pynn.nn.module import Module
from pynn.nn.sequential import Sequential

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Maxout", "Module", "Reshape", "Sequential"]
