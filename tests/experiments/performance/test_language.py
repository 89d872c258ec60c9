"""The language benchmark's plain network is the transformer that it is compared with."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "performance" / "throughput"))

from language import with_tokens  # noqa: E402
from language_jax import FlaxTransformer  # noqa: E402
from language_networks import VOCABULARY, Entry  # noqa: E402

from jaxsched.models import Transformer  # noqa: E402


def test_the_plain_network_computes_what_ours_does():
    entry = Entry(Transformer(depth=2, width=8, heads=2), context=6)
    model = entry.ours.build(VOCABULARY)
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=(2, 6), dtype=np.int32)
    ours = jax.jit(model.init)(jax.random.key(0))
    plain = {"Embed_0": ours["token_embedding"], "RMSNorm_4": ours["last_norm"]}
    for i, block in enumerate((ours["block1"], ours["block2"])):
        attention, mlp = block["attention"], block["mlp"]
        for theirs, name in (("q", "query"), ("k", "key"), ("v", "value")):
            plain[f"{theirs}{i}"] = {"kernel": attention[name]["kernel"].reshape(8, 8)}
        plain[f"out{i}"] = {"kernel": attention["out"]["kernel"].reshape(8, 8)}
        plain |= {f"up{i}": mlp["up"], f"down{i}": mlp["down"]}
        plain[f"RMSNorm_{2 * i}"] = block["attention_norm"]
        plain[f"RMSNorm_{2 * i + 1}"] = block["mlp_norm"]
    theirs = jax.jit(FlaxTransformer(entry).apply)({"params": plain}, tokens)
    np.testing.assert_allclose(theirs, jax.jit(model.eval_logits)(ours, tokens), atol=1e-6)


def test_a_row_is_told_in_tokens():
    row = with_tokens({"network": "4x128", "images_per_second": 2.5})
    assert (row["tokens_per_second"], row["context"]) == (pytest.approx(2.5 * 128), 128)
    assert "images_per_second" not in row
