"""pynn as a backend of ONNX, for onnx.backend.test and for what else drives backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.onnx.extra import onnx_package
from pynn.onnx.importer import loads
from pynn.onnx.network import Network

onnx_package("onnx.backend")
from onnx import helper  # noqa: E402
from onnx.backend.base import Backend as _Backend  # noqa: E402
from onnx.backend.base import BackendRep  # noqa: E402

__all__ = ["Backend", "Prepared"]


class Prepared(BackendRep):
    """A network that is ready to run.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network):
        self.network = network

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """Return the outputs for a sequence of arrays, a dict of them, or a single one."""
        if isinstance(inputs, dict):
            inputs = [inputs[name] for name in self.network.input_names]
        given = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        return tuple(self.network.run(*given))


class Backend(_Backend):
    """The interface that ONNX asks of what runs its models.

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import helper, TensorProto
    >>> from pynn.onnx.backend import Backend
    >>> node = helper.make_node("Relu", ["x"], ["y"])
    >>> Backend.run_node(node, [np.array([-1.0, 2.0], "float32")])[0]
    array([0., 2.], dtype=float32)
    """

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **_: Any) -> Prepared:
        """Return what runs a ModelProto."""
        return Prepared(loads(model.SerializeToString()))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **_: Any) -> tuple[Any, ...]:
        """Return the outputs of a ModelProto."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: Any, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **_: Any
    ) -> tuple[Any, ...]:
        """Return the outputs of a single NodeProto."""
        arrays = [np.asarray(x) for x in inputs]
        names = [name for name in node.input if name]
        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for name, a in zip(names, arrays, strict=True)
        ]
        made = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "node", given, made)
        return cls.prepare(helper.make_model(graph)).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether the device is the CPU."""
        return device == "CPU"
