"""AlexNet and GoogLeNet in PyTorch, eager, for bench.large: the layers of pynn.recipes.networks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pynn.recipes.networks import AUXILIARY, GOOGLENET

from .large import MOMENTUM, RATE, WEIGHTS, Step, data


def _conv(channels: int, filters: int, size: int, stride: int = 1, groups: int = 1, padding: int | None = None) -> Any:
    pad = size // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(channels, filters, size, stride, pad, groups=groups), nn.ReLU(inplace=True))


def _response() -> Any:
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # which divides alpha by the number of channels


def alexnet() -> nn.Module:
    """The network with its two columns as groups."""
    return nn.Sequential(
        _conv(3, 96, 11, 4, padding=0), _response(), nn.MaxPool2d(3, 2),
        _conv(96, 256, 5, groups=2), _response(), nn.MaxPool2d(3, 2),
        _conv(256, 384, 3), _conv(384, 384, 3, groups=2), _conv(384, 256, 3, groups=2), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Linear(4096, 1000),
    )  # fmt: skip


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels: int, widths: tuple[int, ...]):
        super().__init__()
        one, before3, three, before5, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                _conv(channels, one, 1),
                nn.Sequential(_conv(channels, before3, 1), _conv(before3, three, 3)),
                nn.Sequential(_conv(channels, before5, 1), _conv(before5, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(channels, pooled, 1)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _head(channels: int) -> Any:
    return nn.Sequential(
        nn.AvgPool2d(5, 3), _conv(channels, 128, 1), nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU(inplace=True),
        nn.Dropout(0.7), nn.Linear(1024, 1000),
    )  # fmt: skip


class GoogLeNet(nn.Module):
    """The network with its auxiliary heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), _response(), _conv(64, 64, 1), _conv(64, 192, 3),
            _response(), nn.MaxPool2d(3, 2, ceil_mode=True),
        )  # fmt: skip
        self.parts = nn.ModuleList()
        self.heads = nn.ModuleList()
        channels = 192
        for i, widths in enumerate(GOOGLENET):
            if widths is None:
                self.parts.append(nn.MaxPool2d(3, 2, ceil_mode=True))
                continue
            self.parts.append(Inception(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
            if i in AUXILIARY:
                self.heads.append(_head(channels))
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(channels, 1000))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x, found, heads = self.stem(x), [], iter(self.heads)
        for i, part in enumerate(self.parts):
            x = part(x)
            if i in AUXILIARY:
                found.append(next(heads)(x))
        return [self.end(x), *found]


def made(name: str, batch: int, threads: int) -> tuple[Step, int]:
    """The step, which returns the loss before its update, and the number of weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images, labels = data(name, batch)
    layout = torch.channels_last
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(labels)
    model = (alexnet() if name == "alexnet" else GoogLeNet()).to(memory_format=layout).train()
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        out = model(x)
        outs = out if isinstance(out, list) else [out]
        loss = sum(w * functional.cross_entropy(z, y) for w, z in zip(WEIGHTS.values(), outs, strict=False))
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        return float(loss)

    return step, sum(p.numel() for p in model.parameters())
