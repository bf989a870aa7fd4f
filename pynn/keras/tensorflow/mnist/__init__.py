"""``tensorflow.examples.tutorials.mnist``."""
