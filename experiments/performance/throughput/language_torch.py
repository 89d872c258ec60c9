"""The PyTorch contestant of language.py."""

import torch  # pyright: ignore[reportMissingImports]
from language_networks import BETAS, LEARNING_RATE, NETWORKS, VOCABULARY, WEIGHT_DECAY, Entry
from throughput_worker import Contestant, Job, serve
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]


class Block(nn.Module):
    """Attention and MLP, each of which adds to its input."""

    def __init__(self, entry: Entry):
        super().__init__()
        width, self.heads = entry.ours.width, entry.ours.heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up = nn.Linear(width, entry.ours.mlp_ratio * width, bias=False)
        self.down = nn.Linear(entry.ours.mlp_ratio * width, width, bias=False)
        angles = torch.from_numpy(entry.angles())
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output."""
        y = self.attention_norm(x)
        query, key, value = (self.split(layer(y)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(
            self.turned(query), self.turned(key), value, is_causal=True
        )
        x = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        hidden = functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh")
        return x + self.down(hidden)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, width] as [B, heads, T, size]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cos - b * self.sin, a * self.sin + b * self.cos], dim=-1)


class Network(nn.Module):
    """A transformer of the comparison."""

    def __init__(self, entry: Entry):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, entry.ours.width)
        self.blocks = nn.Sequential(*(Block(entry) for _ in range(entry.ours.depth)))
        self.last_norm = nn.RMSNorm(entry.ours.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.last_norm(self.blocks(self.embedding(tokens)))
        return x @ self.embedding.weight.T


def prepare(job: Job) -> Contestant:
    """Prepares a step with the fused optimizer."""
    entry = NETWORKS[job.network]
    windows = torch.randint(VOCABULARY, (job.batch_size, entry.context + 1))
    tokens, targets = windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
    model = Network(entry)
    decays = [p for p in model.parameters() if p.ndim > 1]
    spared = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decays}, {"params": spared, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=BETAS,
        weight_decay=WEIGHT_DECAY,
        fused=True,
    )

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(model(tokens).view(-1, VOCABULARY), targets.view(-1))
            loss.backward()
            optimizer.step()

    facts = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "device": "cpu",
    }
    return Contestant(steps, facts, lambda: None)


if __name__ == "__main__":
    serve(prepare)
