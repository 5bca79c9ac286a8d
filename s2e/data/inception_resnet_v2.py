"""Inception-ResNet-v2 (Szegedy et al. 2017), with which papers on noisy labels train WebVision.

Layers, their names and the factors of the residuals are those of the published weights (Cadène's and timm's), so a
state dict of either is read. 55,843,464 parameters for 1,000 classes. It takes images of 75 pixels and more; 299 are
what the weights were made with.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import torch
from torch import nn

HALF = (0.5, 0.5, 0.5)
"""Mean and deviation of the pixels that the published weights were made with."""
LAST_LAYERS = {"last_linear": "classif"}
"""As Cadène's program and timm's have it."""
Size = int | tuple[int, int]


class Conv(nn.Module):
    """A convolution without bias, batch norm and ReLU."""

    def __init__(self, depth: int, channels: int, size: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(depth, channels, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x)).relu()  # type: ignore[no-any-return]


class Branches(nn.Module):
    """``branch0``, ``branch1``, ... beside each other."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.n_branches = len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.n_branches)], 1)


class Block(Branches):
    """x + scale * conv2d(branches(x)), and ReLU unless it is the last one."""

    def __init__(self, depth: int, inner: int, scale: float, branches: Sequence[nn.Module], last: bool = False) -> None:
        super().__init__(branches)
        self.conv2d = nn.Conv2d(inner, depth, 1)
        self.scale, self.last = scale, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sum_ = self.conv2d(super().forward(x)) * self.scale + x
        return sum_ if self.last else sum_.relu()  # type: ignore[no-any-return]


class InceptionResNetV2(nn.Module):
    """Images [B, 3, H, W] of 75 x 75 and more -> logits [B, C].

    ``n_blocks`` of each kind, and channels divided by ``thin``: others than published are for tests.
    """

    def __init__(self, n_classes: int, n_blocks: tuple[int, int, int] = (10, 20, 9), thin: int = 1) -> None:
        super().__init__()
        made = _Layers(thin)
        self.conv2d_1a = Conv(3, 32 // thin, 3, 2)
        self.conv2d_2a = made.conv(32, 32, 3)
        self.conv2d_2b = made.conv(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = made.conv(64, 80, 1)
        self.conv2d_4a = made.conv(80, 192, 3)
        self.maxpool_5a = nn.MaxPool2d(3, 2)
        self.mixed_5b = made.mixed_5b()
        self.repeat = nn.Sequential(*(made.block35() for _ in range(n_blocks[0])))
        self.mixed_6a = made.mixed_6a()
        self.repeat_1 = nn.Sequential(*(made.block17() for _ in range(n_blocks[1])))
        self.mixed_7a = made.mixed_7a()
        self.repeat_2 = nn.Sequential(*(made.block8(0.2) for _ in range(n_blocks[2])))
        self.block8 = made.block8(1.0, last=True)
        self.conv2d_7b = made.conv(2_080, 1_536, 1)
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classif = nn.Linear(1_536 // thin, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.children():
            x = layer(x)
        return x


class _Layers:
    """Layers by the channels that are published."""

    def __init__(self, thin: int) -> None:
        self.thin = thin

    def conv(self, depth: int, channels: int, size: Size, stride: int = 1, padding: Size = 0) -> Conv:
        return Conv(depth // self.thin, channels // self.thin, size, stride, padding)

    def block(self, depth: int, inner: int, scale: float, *branches: nn.Module, last: bool = False) -> Block:
        return Block(depth // self.thin, inner // self.thin, scale, branches, last)

    def mixed_5b(self) -> Branches:
        conv = self.conv
        return Branches(
            [
                conv(192, 96, 1),
                nn.Sequential(conv(192, 48, 1), conv(48, 64, 5, padding=2)),
                nn.Sequential(conv(192, 64, 1), conv(64, 96, 3, padding=1), conv(96, 96, 3, padding=1)),
                nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(192, 64, 1)),
            ]
        )

    def block35(self) -> Block:
        conv = self.conv
        two = nn.Sequential(conv(320, 32, 1), conv(32, 32, 3, padding=1))
        three = nn.Sequential(conv(320, 32, 1), conv(32, 48, 3, padding=1), conv(48, 64, 3, padding=1))
        return self.block(320, 128, 0.17, conv(320, 32, 1), two, three)

    def mixed_6a(self) -> Branches:
        conv = self.conv
        three = nn.Sequential(conv(320, 256, 1), conv(256, 256, 3, padding=1), conv(256, 384, 3, 2))
        return Branches([conv(320, 384, 3, 2), three, nn.MaxPool2d(3, 2)])

    def block17(self) -> Block:
        conv = self.conv
        wide, high = conv(128, 160, (1, 7), padding=(0, 3)), conv(160, 192, (7, 1), padding=(3, 0))
        return self.block(1_088, 384, 0.1, conv(1_088, 192, 1), nn.Sequential(conv(1_088, 128, 1), wide, high))

    def mixed_7a(self) -> Branches:
        conv = self.conv
        return Branches(
            [
                nn.Sequential(conv(1_088, 256, 1), conv(256, 384, 3, 2)),
                nn.Sequential(conv(1_088, 256, 1), conv(256, 288, 3, 2)),
                nn.Sequential(conv(1_088, 256, 1), conv(256, 288, 3, padding=1), conv(288, 320, 3, 2)),
                nn.MaxPool2d(3, 2),
            ]
        )

    def block8(self, scale: float, *, last: bool = False) -> Block:
        conv = self.conv
        wide, high = conv(192, 224, (1, 3), padding=(0, 1)), conv(224, 256, (3, 1), padding=(1, 0))
        branch = nn.Sequential(conv(2_080, 192, 1), wide, high)
        return self.block(2_080, 448, scale, conv(2_080, 192, 1), branch, last=last)


def own_name(name: str, own: Container[str]) -> str:
    """A tensor's name in a file, as the network has it: two programs call the last layer of this one differently."""
    layer, _, tensor = name.rpartition(".")
    renamed = f"{LAST_LAYERS.get(layer, layer)}.{tensor}"
    return renamed if name not in own and renamed in own else name
