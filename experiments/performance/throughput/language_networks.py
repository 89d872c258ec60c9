"""The transformers of language.py, and the rotary positions that every framework computes alike."""

from dataclasses import dataclass

import numpy as np

from jaxsched.models import Transformer

VOCABULARY = 256
# Those of nanoGPT's optimizer, at a constant learning rate.
LEARNING_RATE, BETAS, WEIGHT_DECAY = 1e-3, (0.9, 0.99), 0.1


@dataclass(frozen=True)
class Entry:
    """A transformer of the comparison and the number of tokens that it sees at a time."""

    ours: Transformer
    context: int

    def angles(self) -> np.ndarray:
        """The angles of rotary positions, f32[context, half a head's size]."""
        size = self.ours.width // self.ours.heads
        speeds = self.ours.rotary_base ** (-np.arange(0, size, 2) / size)
        return np.outer(np.arange(self.context), speeds).astype(np.float32)


NETWORKS = {
    "2x64": Entry(Transformer(depth=2, width=64, heads=2), context=64),
    "4x128": Entry(Transformer(depth=4, width=128, heads=4), context=128),
    "6x384": Entry(Transformer(depth=6, width=384, heads=6), context=256),
}
