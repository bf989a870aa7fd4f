"""PyTorch on a GPU: eager, and with whole steps as one CUDA graph, both in float32 without TF32.

No GPU has run this file.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from .peer_torch import arranged, build, load
from .side import Side, Unavailable
from .workloads import EPSILON, Workload

WARM = 3  # steps before a step is captured, on a stream of their own


def side(name: str, workload: Workload, captured: bool) -> Side:
    layout = torch.channels_last if len(workload.shape) == 3 else torch.contiguous_format
    model = build(workload, layout)
    load(model, workload)
    model.to("cuda")
    trained = [p for p in model.parameters() if p.requires_grad]
    if workload.optimizer == "adam":
        adam = {"eps": EPSILON, "fused": True, "capturable": captured}
        optimizer: torch.optim.Optimizer = torch.optim.Adam(trained, lr=workload.learning_rate, **adam)
    else:
        optimizer = torch.optim.SGD(trained, lr=workload.learning_rate, fused=True)
    batches = [(arranged(x, layout).cuda(), torch.from_numpy(y).cuda()) for x, y in workload.batches()]
    held = [torch.empty_like(t).copy_(t) for t in batches[0]]
    graph: torch.cuda.CUDAGraph | None = None
    taken = 0

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(model(x).reshape(-1, workload.classes), y.reshape(-1))

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(x, y).backward()
        optimizer.step()

    def capture() -> torch.cuda.CUDAGraph:
        beside, made = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                step(*held)
        torch.cuda.current_stream().wait_stream(beside)
        optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(made):
            step(*held)
        return made

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            batch = batches[taken % len(batches)]
            if graph is None:
                step(*batch)
            else:
                for to, t in zip(held, batch, strict=True):
                    to.copy_(t)
                graph.replay()
            taken += 1
        torch.cuda.synchronize()

    def loss() -> float:
        with torch.no_grad():
            return float(loss_of(*batches[0]))

    def reset() -> None:
        nonlocal taken
        taken = 0
        load(model, workload)
        for state in optimizer.state.values():  # in place: a graph points there
            for value in state.values():
                if isinstance(value, torch.Tensor):
                    value.zero_()

    if captured:
        graph = capture()
        reset()
    return Side(name, run, loss, reset)


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    if not torch.cuda.is_available():
        raise Unavailable("PyTorch finds no GPU")
    if any(getattr(layer, "sparse", False) for layer in workload.layers):
        raise Unavailable("sparse gradients have no fused optimizer")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield side("torch eager", workload, False)
    yield side("torch graph", workload, True)
