"""The networks of bench.networks in PyTorch, eager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .networks import WORDS, Network
from .peer_torch import arranged, faster
from .side import Side
from .workloads import EPSILON


def _normed(channels: int, filters: int, size: int, stride: int = 1, activated: bool = True) -> list[nn.Module]:
    layers = [nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters)]
    return [*layers, nn.ReLU(inplace=True)] if activated else layers


class Block(nn.Module):
    """Two convolutions, and what goes past them."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.inner = nn.Sequential(*_normed(channels, filters, 3, stride), *_normed(filters, filters, 3, 1, False))
        self.past = nn.Sequential(*(_normed(channels, filters, 1, stride, False) if stride > 1 else []))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(x) + self.past(x), inplace=True)


def resnet18(classes: int) -> nn.Module:
    blocks: list[nn.Module] = []
    before = 64
    for i, filters in enumerate((64, 128, 256, 512)):
        blocks += [Block(before, filters, 1 if i == 0 else 2), Block(filters, filters, 1)]
        before = filters
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)]
    return nn.Sequential(*_normed(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, *ends)


class Recurrent(nn.Module):
    """The last states of a recurrent layer over embedded words, then a product."""

    def __init__(self, layer: Any, width: int, classes: int):
        super().__init__()
        self.words, self.layer, self.top = nn.Embedding(WORDS, 64), layer, nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, states = self.layer(self.words(x))
        last = states[0] if isinstance(states, tuple) else states
        return self.top(torch.cat(list(last), 1))


def built(network: Network) -> nn.Module:
    torch.manual_seed(0)
    classes = network.classes
    match network.made:
        case "batch norm":
            rows, columns, channels = network.shape
            body = [*_normed(channels, 32, 3), *_normed(32, 32, 3), nn.MaxPool2d(2), *_normed(32, 64, 3)]
            body += [*_normed(64, 64, 3), nn.MaxPool2d(2), nn.Flatten()]
            return nn.Sequential(*body, nn.Linear(64 * (rows // 4) * (columns // 4), classes))
        case "ResNet-18":
            return resnet18(classes)
        case "autoencoder":
            relu, channels = nn.ReLU, network.shape[-1]
            down = [nn.Conv2d(channels, 16, 3, 2, 1), relu(), nn.Conv2d(16, 32, 3, 2, 1), relu()]
            up = [nn.ConvTranspose2d(32, 16, 4, 2, 1), relu(), nn.ConvTranspose2d(16, channels, 4, 2, 1)]
            return nn.Sequential(*down, *up)
        case "GRU":
            return Recurrent(nn.GRU(64, 128, batch_first=True), 128, classes)
        case "two-way LSTM":
            model = Recurrent(nn.LSTM(64, 64, batch_first=True, bidirectional=True), 128, classes)
            for name, weight in model.layer.named_parameters():
                if name.startswith("bias_hh"):  # pynn has one bias
                    nn.init.zeros_(weight).requires_grad_(False)
            return model
    raise ValueError(network.made)


def placed(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]


def save(model: nn.Module, file: Path) -> None:
    from safetensors.torch import save_file

    counts = "num_batches_tracked"
    save_file({k: v.contiguous() for k, v in model.state_dict().items() if counts not in k}, file)


def one_side(network: Network, threads: int) -> Side:
    """The side with images in the layout that is faster."""
    torch.set_num_threads(threads)
    layouts = [torch.contiguous_format, torch.channels_last] if len(network.shape) == 3 else [torch.contiguous_format]
    sides = {layout: _side(network, layout) for layout in layouts}
    return sides[faster(sides)]


def _side(network: Network, layout: torch.memory_format) -> Side:
    model = built(network).to(memory_format=layout)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    if network.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD(trained, network.learning_rate, fused=True)
    else:
        optimizer = torch.optim.Adam(trained, network.learning_rate, eps=EPSILON, fused=True)
    x, y = network.data()
    cuts = range(0, len(x), network.batch)
    batches = [arranged(x[i : i + network.batch], layout) for i in cuts]
    targets = [torch.from_numpy(y[i : i + network.batch]) for i in cuts] if network.classes else batches
    taken = 0

    def loss_of(i: int) -> torch.Tensor:
        found = model(batches[i])
        return (
            functional.cross_entropy(found, targets[i]) if network.classes else functional.mse_loss(found, targets[i])
        )

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of(taken % len(batches)).backward()
            optimizer.step()
            taken += 1

    def result() -> float:
        model.eval()
        with torch.no_grad():
            found = float(loss_of(0))
        model.train()
        return found

    def reset() -> None:
        nonlocal taken
        taken = 0
        model.load_state_dict(start)
        optimizer.state.clear()

    return Side("torch eager", run, result, reset)
