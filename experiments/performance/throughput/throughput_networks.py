"""The networks of throughput.py, written once for every framework: functions of its layers.

Shapes, strides and shortcuts are those of `jaxsched.models`; the number of parameters is compared
when the contestants start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

from jaxsched.models import R18, RESNET50, CifarResNet, Network, WideResNet

Features: TypeAlias = Any  # an array of the framework


class Layers(Protocol):
    """The layers of a framework; each layer with parameters has a name of its own."""

    def conv(self, name: str, x: Features, features: int, side: int, stride: int = 1) -> Features:
        """A convolution without bias, padded to keep the size at stride 1."""
        ...

    def norm(self, name: str, x: Features) -> Features:
        """Batch norm."""
        ...

    def relu(self, x: Features) -> Features:
        """max(x, 0)."""
        ...

    def thin_shortcut(self, x: Features, features: int, stride: int) -> Features:
        """Every `stride`-th pixel, with zeros as further channels."""
        ...

    def max_pool(self, x: Features) -> Features:
        """3×3 at stride 2, padded by 1."""
        ...

    def classify(self, x: Features, num_classes: int) -> Features:
        """The mean over pixels and a linear layer."""
        ...

    def num_channels(self, x: Features) -> int:
        """The number of channels."""
        ...


Architecture: TypeAlias = Callable[[Layers, Features, int], Features]


def _stages(blocks: tuple[int, ...], width: int):
    """Yields (name, channels, stride) of each block."""
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            yield f"stage{stage}_block{block}", width * 2**stage, stride


def _cifar_resnet(layers: Layers, x: Features, num_classes: int, *, blocks: int) -> Features:
    x = layers.relu(layers.norm("stem_norm", layers.conv("stem", x, 16, 3)))
    for name, channels, stride in _stages((blocks,) * 3, 16):
        y = layers.conv(f"{name}_conv1", x, channels, 3, stride)
        y = layers.relu(layers.norm(f"{name}_norm1", y))
        y = layers.norm(f"{name}_norm2", layers.conv(f"{name}_conv2", y, channels, 3))
        x = layers.relu(y + layers.thin_shortcut(x, channels, stride))
    return layers.classify(x, num_classes)


def _wide_resnet(
    layers: Layers, x: Features, num_classes: int, *, blocks: int, widen: int
) -> Features:
    x = layers.conv("stem", x, 16, 3)
    for name, channels, stride in _stages((blocks,) * 3, 16 * widen):
        active = layers.relu(layers.norm(f"{name}_norm1", x))
        y = layers.conv(f"{name}_conv1", active, channels, 3, stride)
        y = layers.relu(layers.norm(f"{name}_norm2", y))
        y = layers.conv(f"{name}_conv2", y, channels, 3)
        if layers.num_channels(x) != channels:
            x = layers.conv(f"{name}_shortcut", active, channels, 1, stride)
        x = x + y
    return layers.classify(layers.relu(layers.norm("last_norm", x)), num_classes)


def _resnet18(layers: Layers, x: Features, num_classes: int) -> Features:
    x = layers.relu(layers.norm("stem_norm", layers.conv("stem", x, 64, 3)))
    for name, channels, stride in _stages((2, 2, 2, 2), 64):
        y = layers.conv(f"{name}_conv1", x, channels, 3, stride)
        y = layers.relu(layers.norm(f"{name}_norm1", y))
        y = layers.norm(f"{name}_norm2", layers.conv(f"{name}_conv2", y, channels, 3))
        if layers.num_channels(x) != channels:
            x = layers.conv(f"{name}_shortcut", x, channels, 1, stride)
            x = layers.norm(f"{name}_shortcut_norm", x)
        x = layers.relu(x + y)
    return layers.classify(x, num_classes)


def _resnet50(layers: Layers, x: Features, num_classes: int) -> Features:
    x = layers.relu(layers.norm("stem_norm", layers.conv("stem", x, 64, 7, 2)))
    x = layers.max_pool(x)
    for name, channels, stride in _stages((3, 4, 6, 3), 64):
        y = layers.relu(layers.norm(f"{name}_norm1", layers.conv(f"{name}_conv1", x, channels, 1)))
        y = layers.conv(f"{name}_conv2", y, channels, 3, stride)
        y = layers.relu(layers.norm(f"{name}_norm2", y))
        y = layers.norm(f"{name}_norm3", layers.conv(f"{name}_conv3", y, 4 * channels, 1))
        if layers.num_channels(x) != 4 * channels:
            x = layers.conv(f"{name}_shortcut", x, 4 * channels, 1, stride)
            x = layers.norm(f"{name}_shortcut_norm", x)
        x = layers.relu(x + y)
    return layers.classify(x, num_classes)


@dataclass(frozen=True)
class Entry:
    """A network of the comparison.

    Attributes:
        ours: the network as a spec of this package.
        architecture: the same network for the other contestants.
        floor: the images/s that an H200 cannot exceed, at bfloat16: computed from 790 TFLOP/s and
            from 14 passes over each convolution's output at 4.3 TB/s, whichever takes longer.
        image_size: height and width.
        num_classes: classes.
    """

    ours: Network
    architecture: Architecture
    floor: float
    image_size: int = 32
    num_classes: int = 10


NETWORKS = {
    "resnet8": Entry(
        CifarResNet(depth=8, width=16), partial(_cifar_resnet, blocks=1), floor=50_000 / 0.028
    ),
    "resnet20": Entry(
        CifarResNet(depth=20, width=16), partial(_cifar_resnet, blocks=3), floor=50_000 / 0.065
    ),
    "wrn16_4": Entry(
        WideResNet(depth=16, widen=4), partial(_wide_resnet, blocks=2, widen=4), 50_000 / 0.192
    ),
    "resnet18": Entry(R18, _resnet18, floor=50_000 / 0.211),
    "resnet50": Entry(RESNET50, _resnet50, 1_281_000 / 92.7, image_size=224, num_classes=1000),
}
