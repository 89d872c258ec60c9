"""The transformer against the same network written out in float64 NumPy, and its properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsched.models import Transformer
from jaxsched.models.layers.rotary import rotate

VOCABULARY = 11
TOKENS = np.random.default_rng(0).integers(VOCABULARY, size=(3, 7), dtype=np.int32)
KEYS = jax.random.split(jax.random.key(0), 3)
SMALL = Transformer(depth=2, width=12, heads=3, mlp_ratio=2)


def drawn(spec):
    """(model, params): weights large enough that each layer matters to the logits."""
    model = spec.build(VOCABULARY)
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes)
    return model, jax.tree.map(lambda leaf: leaf / 2, params)


def rms_norm(x, layer):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"]


def turned(x):
    """Rotary positions as products of complex numbers; x is [T, D]."""
    length, size = x.shape
    numbers = x[:, : size // 2] + 1j * x[:, size // 2 :]
    speeds = 10_000.0 ** (-np.arange(0, size, 2) / size)
    numbers = numbers * np.exp(1j * np.arange(length)[:, None] * speeds)
    return np.concatenate([numbers.real, numbers.imag], axis=1)


def attention(x, layer):
    """Head by head and place by place; x is [T, width]."""
    result = np.zeros_like(x)
    for head in range(layer["query"]["kernel"].shape[1]):
        query, key, value = (x @ layer[n]["kernel"][:, head] for n in ("query", "key", "value"))
        query, key = turned(query), turned(key)
        for place in range(len(x)):
            scores = key[: place + 1] @ query[place] / np.sqrt(query.shape[1])
            weights = np.exp(scores - scores.max())
            mixed = weights @ value[: place + 1] / weights.sum()
            result[place] += mixed @ layer["out"]["kernel"][head]
    return result


def mlp(x, layer):
    hidden = x @ layer["up"]["kernel"]
    hidden *= 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    return hidden @ layer["down"]["kernel"]


def twin(params, tokens):
    params = jax.tree.map(np.float64, params)
    embedding = params["token_embedding"]["embedding"]
    head = params["head"]["kernel"] if "head" in params else embedding.T
    logits = []
    for text in tokens:
        x = embedding[text]
        for block in (params["block1"], params["block2"]):
            x = x + attention(rms_norm(x, block["attention_norm"]), block["attention"])
            x = x + mlp(rms_norm(x, block["mlp_norm"]), block["mlp"])
        logits.append(rms_norm(x, params["last_norm"]) @ head)
    return np.array(logits)


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_the_formulae(tied):
    spec = Transformer(depth=2, width=12, heads=3, mlp_ratio=2, tied_embeddings=tied)
    model, params = drawn(spec)
    ours = jax.jit(model.eval_logits)(params, TOKENS)
    np.testing.assert_allclose(ours, twin(params, TOKENS), rtol=1e-4, atol=1e-4)
    trained = jax.jit(model.train_logits)(params, TOKENS, KEYS)  # without dropout
    np.testing.assert_array_equal(trained, ours)


def test_a_later_token_changes_no_earlier_logit():
    model, params = drawn(SMALL)
    logits = jax.jit(model.eval_logits)
    before = logits(params, TOKENS)
    for place in range(TOKENS.shape[1]):
        changed = TOKENS.copy()
        changed[:, place] = (changed[:, place] + 1) % VOCABULARY
        after = logits(params, changed)
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert (after[:, place:] != before[:, place:]).any(axis=-1).all()


def test_scores_of_turned_vectors_depend_on_the_difference_of_their_places_alone():
    query, key = np.random.default_rng(2).normal(size=(2, 6)).astype(np.float32)
    here, there = (rotate(jnp.tile(v, (1, 300, 1, 1)))[0, :, 0] for v in (query, key))
    scores = np.asarray(here @ there.T)
    for difference in (-200, -1, 0, 7, 250):
        along = np.diagonal(scores, difference)
        np.testing.assert_allclose(along, along[0], atol=2e-6)
    np.testing.assert_allclose(np.diagonal(scores), query @ key, atol=2e-6)
    assert np.ptp(scores[0]) > 1  # but it does depend on that


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_by_closed_form(tied):
    depth, width, ratio = 3, 24, 4
    spec = Transformer(depth, width, heads=3, mlp_ratio=ratio, tied_embeddings=tied)
    params = jax.eval_shape(spec.build(50).init, jax.random.key(0))
    embeddings = (1 if tied else 2) * 50 * width
    blocks = depth * ((4 + 2 * ratio) * width**2 + 2 * width)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == embeddings + blocks + width


def test_initial_weights_are_gpt2s():
    model = Transformer(depth=2, width=64, heads=4).build(256)
    params = jax.jit(model.init)(jax.random.key(0))
    block = params["block2"]
    for kernel, sd in (
        (params["token_embedding"]["embedding"], 0.02),
        (block["attention"]["query"]["kernel"], 0.02),
        (block["mlp"]["up"]["kernel"], 0.02),
        (block["attention"]["out"]["kernel"], 0.01),  # 0.02 / √4
        (block["mlp"]["down"]["kernel"], 0.01),
    ):
        # The standard error of a standard deviation is sd / √(2n); 4096 numbers or more.
        assert np.std(kernel) == pytest.approx(sd, rel=5 / np.sqrt(2 * kernel.size))
    assert (params["last_norm"]["scale"] == 1).all()


def test_dropout_depends_on_an_examples_own_key_alone():
    model, params = drawn(Transformer(depth=2, width=12, heads=3, dropout=0.5))
    logits = jax.jit(model.train_logits)
    whole = logits(params, TOKENS, KEYS)
    # The same text and key, in another place of another batch.
    others = logits(params, TOKENS[[2, 0, 0]], KEYS[jnp.array([2, 1, 0])])
    np.testing.assert_array_equal(others[0], whole[2])
    np.testing.assert_array_equal(others[2], whole[0])
    assert (others[1] != whole[0]).any()  # the same text with another key
    assert (whole != jax.jit(model.eval_logits)(params, TOKENS)).any()


def test_bfloat16_layers_have_float32_parameters_and_logits():
    model, params = drawn(SMALL)
    half = SMALL.build(VOCABULARY, dtype=jnp.bfloat16)
    logits = jax.jit(half.eval_logits)(params, TOKENS)
    shapes = jax.eval_shape(half.init, jax.random.key(0))
    assert {leaf.dtype for leaf in [*jax.tree.leaves(shapes), logits]} == {jnp.dtype("float32")}
    exact = jax.jit(model.eval_logits)(params, TOKENS)
    scale = float(jnp.std(exact))
    difference = float(jnp.sqrt(jnp.mean((logits - exact) ** 2)))
    assert 1e-4 * scale < difference < 0.05 * scale  # eight bits of precision, over ten layers


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 0}, "Transformer needs a depth of at least 1, got depth=0"),
        ({"width": 12.5}, "needs width as a whole number, got 12.5"),
        ({"heads": 4}, r"multiple of 2 · heads.*width=12 and heads=4; give heads as one of \[1, 2"),
        ({"width": 15}, "width=15 and heads=3; give an even width"),
        ({"dropout": 1.0}, r"a dropout within \[0, 1\), got dropout=1.0"),
        ({"rotary_base": 0.5}, "a rotary_base above 1, got rotary_base=0.5"),
    ],
)
def test_nonsense_is_refused_when_built(fields, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**{"depth": 2, "width": 12, "heads": 3, **fields})


def test_a_vocabulary_has_two_tokens():
    with pytest.raises(ValueError, match="at least 2 tokens, got vocabulary=1"):
        SMALL.build(1)
