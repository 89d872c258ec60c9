"""The PyTorch contestants of throughput.py: channels last, eager or compiled."""

import contextlib
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from throughput_networks import NETWORKS, Entry
from throughput_worker import Contestant, Job, serve
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


class TorchNetwork(nn.Module):
    """A network of the comparison; its layers are made when the first images pass through."""

    def __init__(self, entry: Entry):
        super().__init__()
        self.entry = entry
        self.layers = nn.ModuleDict()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.entry.architecture(self, images, self.entry.num_classes)

    def conv(self, name, x, features, side, stride=1):
        """See `Layers`."""
        if name not in self.layers:
            self.layers[name] = nn.Conv2d(
                x.shape[1], features, side, stride, padding=side // 2, bias=False
            )
        return self.layers[name](x)

    def norm(self, name, x):
        """See `Layers`."""
        if name not in self.layers:
            self.layers[name] = nn.BatchNorm2d(x.shape[1])
        return self.layers[name](x)

    def relu(self, x):
        """See `Layers`."""
        return functional.relu(x)

    def thin_shortcut(self, x, features, stride):
        """See `Layers`."""
        return functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, features - x.shape[1]))

    def max_pool(self, x):
        """See `Layers`."""
        return functional.max_pool2d(x, 3, stride=2, padding=1)

    def classify(self, x, num_classes):
        """See `Layers`."""
        if "head" not in self.layers:
            self.layers["head"] = nn.Linear(x.shape[1], num_classes)
        return self.layers["head"](x.mean(dim=(2, 3)))

    def num_channels(self, x):
        """See `Layers`."""
        return x.shape[1]


def prepare(job: Job) -> Contestant:
    """Prepares a step by PyTorch's performance guide: channels last, autocast, cuDNN's search."""
    torch.backends.cudnn.benchmark = True
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    entry = NETWORKS[job.network]
    shape = (job.batch_size, 3, entry.image_size, entry.image_size)
    images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(job.batch_size, device=device) % entry.num_classes
    model = TorchNetwork(entry)
    model(torch.zeros(2, *shape[1:]))
    model.to(device=device, memory_format=torch.channels_last)  # pyright: ignore
    forward = torch.compile(model) if job.contestant == "torch_compiled" else model
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=on_gpu
    )

    def autocast() -> Any:
        if job.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = functional.cross_entropy(forward(images), labels)
            loss.backward()
            optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()

    facts = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
    }
    return Contestant(steps, facts, lambda: torch.cuda.max_memory_allocated() if on_gpu else None)


if __name__ == "__main__":
    serve(prepare)
