"""A decoder-only transformer, which predicts each next token of a text."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import normal
from jax.typing import DTypeLike

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import divisors, require_positive
from jaxsched.models.layers.dense_product import dense_product
from jaxsched.models.layers.dropout import dropout
from jaxsched.models.layers.gradient_dtype import weight_dtype
from jaxsched.models.layers.rotary import rotate
from jaxsched.models.model import Params
from jaxsched.models.token_model import TokenModel, TokenNetwork

# The standard deviation of GPT-2's initial weights.
_INITIAL_SD = 0.02


@dataclasses.dataclass(frozen=True)
class Transformer(TokenNetwork):
    """A decoder of `depth` blocks: causal attention, then an MLP, each behind a norm.

    Formula, for the vectors x of an example's tokens:
        x ← embedding[token]
        in each block: x ← x + attention(norm(x)), then x ← x + mlp(norm(x))
        logits = norm(x) · embeddingᵀ

    Norms are RMS norms with a scale (epsilon 1e-6), the MLP is down(gelu(up(x))) with GELU's tanh
    form, and no layer has a bias. Queries and keys have rotary positions, which need no parameters,
    so that one network takes texts of any length. Initial weights are drawn with a standard
    deviation of 0.02, those of the layers that add to x (`out` and `down`) with one of
    0.02 / √(2 · depth), so that x does not grow with the depth. For a vocabulary of V tokens there
    are V · width parameters in the embedding, (4 + 2 · mlp_ratio) · width² + 2 · width in each
    block, and width in the last norm.

    Attributes:
        depth: the number of blocks.
        width: the size of a token's vector.
        heads: the number of attention heads; `width` is a multiple of twice this number.
        mlp_ratio: the hidden units of an MLP as a multiple of the width.
        dropout: the share dropped of the embedded tokens and of what each layer adds to x, in
            [0, 1). Large texts, of which each token is seen once, need none.
        tied_embeddings: whether the logits use the embedding's weights, as in GPT-2. Of a small
            network with a large vocabulary they are most of its parameters; large networks do
            better with a `head` of their own.
        rotary_base: see `rotate`; longer contexts than some thousand tokens need a larger one.

    Raises:
        ValueError: when a count is below 1, the width not a multiple of 2 · heads, or the dropout
            outside [0, 1).

    Source:
        Vaswani et al., "Attention is all you need" (arXiv 1706.03762); Radford et al., "Language
        models are unsupervised multitask learners" (2019), the norm's place and the initial
        weights; Zhang and Sennrich, "Root mean square layer normalization" (arXiv 1910.07467).

    Example:
        >>> import jax
        >>> from jaxsched.models import Transformer
        >>> model = Transformer(depth=4, width=128, heads=4).build(vocabulary=256)
        >>> params = jax.eval_shape(model.init, jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(params))
        820352
    """

    depth: int
    width: int
    heads: int
    mlp_ratio: int = 4
    dropout: float = 0.0
    tied_embeddings: bool = True
    rotary_base: float = 10_000.0

    def __post_init__(self):
        check_field_types(self)
        counts = {name: getattr(self, name) for name in ("depth", "width", "heads", "mlp_ratio")}
        require_positive("Transformer", **counts)
        if self.width % (2 * self.heads):
            halves = divisors(self.width // 2) if self.width % 2 == 0 else []
            fix = f"give heads as one of {halves}" if halves else "give an even width"
            raise ValueError(
                "Transformer needs a width that is a multiple of 2 · heads, because rotary "
                f"positions turn pairs of numbers, got width={self.width} and heads={self.heads}; "
                f"{fix}."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"Transformer needs a dropout within [0, 1), got dropout={self.dropout}; it is the "
                "share that is dropped, not the share that is kept."
            )
        if not self.rotary_base > 1:
            raise ValueError(
                f"Transformer needs a rotary_base above 1, got rotary_base={self.rotary_base}; "
                "10000 is usual."
            )

    def build(self, vocabulary: int, *, dtype: DTypeLike = jnp.float32) -> TokenModel:
        """See `TokenNetwork.build`."""
        if vocabulary < 2:
            raise ValueError(f"A vocabulary needs at least 2 tokens, got {vocabulary=}.")
        module = _Transformer(self, vocabulary, dtype)
        apply: Callable[..., Any] = module.apply

        def init(key: jax.Array) -> Params:
            return dict(module.init(key, jnp.zeros((1, 1), jnp.int32), None))["params"]

        def train_logits(params: Params, tokens: jax.Array, keys: jax.Array) -> jax.Array:
            return apply({"params": params}, tokens, keys)

        def eval_logits(params: Params, tokens: jax.Array) -> jax.Array:
            return apply({"params": params}, tokens, None)

        return TokenModel(init, train_logits, eval_logits)


class _Transformer(nn.Module):
    spec: Transformer
    vocabulary: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, tokens: jax.Array, keys: jax.Array | None) -> jax.Array:
        spec = self.spec
        embedding = nn.Embed(
            self.vocabulary,
            spec.width,
            embedding_init=normal(_INITIAL_SD),
            dtype=weight_dtype(self.dtype),
            name="token_embedding",
        )
        x = _drop(embedding(tokens).astype(self.dtype), keys, layer=0, rate=spec.dropout)
        for index in range(spec.depth):
            x = _Block(spec, self.dtype, index, name=f"block{index + 1}")(x, keys)
        x = nn.RMSNorm(dtype=jnp.float32, name="last_norm")(x)
        if spec.tied_embeddings:
            # Not `attend`, which would compute in the embedding's dtype.
            return x @ embedding.embedding.T
        return _dense(self.vocabulary, jnp.float32, name="head")(x)


class _Block(nn.Module):
    """Attention and MLP, each of which adds to its input."""

    spec: Transformer
    dtype: DTypeLike
    index: int

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        for number, (name, layer) in enumerate((("attention", _Attention), ("mlp", _MLP))):
            y = nn.RMSNorm(dtype=self.dtype, name=f"{name}_norm")(x)
            y = layer(self.spec, self.dtype, name=name)(y)
            # The embedding's dropout is layer 0.
            place = 1 + 2 * self.index + number
            x = x + _drop(y, keys, layer=place, rate=self.spec.dropout)
        return x


class _Attention(nn.Module):
    """Causal attention with rotary positions."""

    spec: Transformer
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        spec, shape = self.spec, (self.spec.heads, self.spec.width // self.spec.heads)
        query, key, value = (
            _dense(shape, self.dtype, name=name)(x) for name in ("query", "key", "value")
        )
        query, key = rotate(query, spec.rotary_base), rotate(key, spec.rotary_base)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        out = _dense(spec.width, self.dtype, axis=(-2, -1), sd=_residual_sd(spec), name="out")
        return out(mixed)


class _MLP(nn.Module):
    """Two dense layers with a GELU in between."""

    spec: Transformer
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        spec = self.spec
        hidden = nn.gelu(_dense(spec.mlp_ratio * spec.width, self.dtype, name="up")(x))
        return _dense(spec.width, self.dtype, sd=_residual_sd(spec), name="down")(hidden)


def _residual_sd(spec: Transformer) -> float:
    """The standard deviation of the initial weights of the layers that add to x."""
    return _INITIAL_SD / (2 * spec.depth) ** 0.5


def _dense(
    features: Any, dtype: DTypeLike, *, name: str, axis: Any = -1, sd: float = _INITIAL_SD
) -> nn.Module:
    """A dense layer without bias."""
    return nn.DenseGeneral(
        features,
        axis,
        use_bias=False,
        kernel_init=normal(sd),
        dtype=dtype,
        promote_dtype=_promoted,
        dot_general_cls=lambda: dense_product,
        name=name,
    )


def _promoted(*arrays: Any, dtype: Any = None, inexact: bool = True) -> list[Any]:
    """The inputs in the dtype that a layer computes in, and its weights as it takes them."""
    del inexact
    inputs, kernel, bias = arrays
    return [inputs.astype(dtype), kernel.astype(weight_dtype(dtype)), bias]


def _drop(x: jax.Array, keys: jax.Array | None, *, layer: int, rate: float) -> jax.Array:
    return x if keys is None or rate == 0 else dropout(x, keys, layer=layer, rate=rate)
