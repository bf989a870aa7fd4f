"""``keras.utils``: labels, files, folders of images and texts, pictures of models, bars of progress."""

from __future__ import annotations

import importlib
from typing import Any

from pynn.keras.missing import missing, refused
from pynn.keras.utils.arrays import normalize, pad_sequences, split_dataset, to_categorical
from pynn.keras.utils.files import get_file
from pynn.keras.utils.folders import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)
from pynn.keras.utils.picture import model_to_dot, plot_model
from pynn.keras.utils.progress import Progbar
from pynn.keras.utils.seeds import next_seed, set_random_seed
from pynn.keras.utils.sequence import PyDataset, Sequence

# Names that live elsewhere.
_HOMES = {
    **dict.fromkeys(("array_to_img", "img_to_array", "load_img", "save_img"), "preprocessing.image"),
    **dict.fromkeys(("CustomObjectScope", "custom_object_scope", "get_custom_objects", "get_registered_name",
                     "get_registered_object", "register_keras_serializable", "serialize_keras_object",
                     "deserialize_keras_object"), "saving"),
    "is_keras_tensor": "backend", "clear_session": "backend",
}  # fmt: skip
_REFUSED = {
    "multi_gpu_model": "pynn runs on processors",
    "HDF5Matrix": "open the file with h5py; fit takes what slices give",
    "GeneratorEnqueuer": "fit takes the generator itself",
    "OrderedEnqueuer": "fit takes the sequence itself",
    "audio_dataset_from_directory": "pynn.audio reads sounds",
}
__all__ = sorted([
    "Progbar", "PyDataset", "Sequence", "get_file", "image_dataset_from_directory", "model_to_dot", "normalize",
    "pad_sequences", "plot_model", "set_random_seed", "split_dataset", "text_dataset_from_directory",
    "timeseries_dataset_from_array", "to_categorical", *_HOMES, "np_utils", "generic_utils", "data_utils", "vis_utils",
])  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"pynn.keras.{_HOMES[name]}"), name)
    if name in ("np_utils", "generic_utils", "data_utils", "vis_utils", "visualize_util", "layer_utils", "io_utils"):
        return importlib.import_module(__name__)
    if name in _REFUSED:
        refused(f"keras.utils.{name}", _REFUSED[name])
    missing("pynn.keras.utils", name, __all__)
