"""Writes torchvision.json: the results of torchvision's own networks for weights that are drawn.

Run in an environment with torch and torchvision: `python tests/models/record_torchvision.py`.
"""

import json
import pathlib
import re
import zlib

import numpy as np

IMAGES = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype(np.float32)
LABELS = [0, 1, 2, 3]


def our_name(theirs: str) -> str:
    """The path of a torchvision parameter in our tree."""
    name = re.sub(r"^(conv|bn)1\.", r"stem_\1.", theirs)
    name = re.sub(
        r"^layer(\d)\.(\d)", lambda found: f"stage{found[1]}_block{int(found[2]) + 1}", name
    )
    name = name.replace("downsample.0", "shortcut_conv").replace("downsample.1", "shortcut_norm")
    name = name.replace("stem_bn", "stem_norm").replace("bn", "norm").replace("fc.", "head.")
    is_norm = "norm" in name
    return name.replace("weight", "scale" if is_norm else "kernel")


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The parameter of that path, in our layout, from a seed of its own."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    if name.endswith("kernel"):
        return (normal * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
    return (name.endswith("scale") + 0.1 * normal).astype(np.float32)


def record(network) -> dict:
    """Logits in training mode and the norm of each parameter's gradient, in float64."""
    import torch

    to_ours = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    to_theirs = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    network.double().train()
    for theirs, parameter in network.named_parameters():
        shape = tuple(np.transpose(np.empty(parameter.shape), to_ours[parameter.ndim]).shape)
        value = draw(our_name(theirs), shape).transpose(to_theirs[parameter.ndim])
        parameter.data = torch.tensor(np.float64(value))
    logits = network(torch.tensor(np.float64(IMAGES).transpose(0, 3, 1, 2)))
    torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS)).backward()
    norms = {our_name(name): p.grad.norm().item() for name, p in network.named_parameters()}
    return {"logits": logits.tolist(), "gradient_norms": norms}


def main():
    """One block a stage suffices to have every kind of block."""
    import torch
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    small_stem = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)
    small_stem.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    small_stem.maxpool = torch.nn.Identity()
    bottleneck = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10)
    records = {"R9": record(small_stem), "BottleneckResNet": record(bottleneck)}
    text = json.dumps(records, indent=1)
    pathlib.Path(__file__).with_name("torchvision.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
