"""Models as estimators of scikit-learn, as Keras 2 had them."""

from __future__ import annotations

from pynn.keras.wrappers import scikit_learn

__all__ = ["scikit_learn"]
