"""The interface between networks that read text and the trainer: three pure functions."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.models.model import Params


class TokenModel(NamedTuple):
    """A network that predicts each next token, as three pure functions.

    B is the number of examples, T that of tokens in an example, V the size of the vocabulary.

    Attributes:
        init: `key -> params`, float32.
        train_logits: `(params, tokens i32[B, T], keys key<>[B]) -> logits f32[B, T, V]`. Logits at
            a place depend on the tokens up to it. An example's dropout depends on its own typed
            PRNG key alone.
        eval_logits: `(params, tokens i32[B, T]) -> logits f32[B, T, V]`, without dropout.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.models import Transformer
        >>> model = Transformer(depth=1, width=8, heads=2).build(vocabulary=256)
        >>> params = jax.eval_shape(model.init, jax.random.key(0))
        >>> jax.eval_shape(model.eval_logits, params, jnp.zeros((2, 5), int)).shape
        (2, 5, 256)
    """

    init: Callable[[jax.Array], Params]
    train_logits: Callable[[Params, jax.Array, jax.Array], jax.Array]
    eval_logits: Callable[[Params, jax.Array], jax.Array]


class TokenNetwork:
    """The spec of a network that predicts each next token: a frozen dataclass of plain numbers.

    It prints as the code that made it, compares, hashes, and can be overridden from a typed
    command line. To train a network of your own, write such a dataclass; its `build` may use any
    library with which the three functions of `TokenModel` can be written.

    Example:
        >>> from jaxsched.models import Transformer
        >>> Transformer(depth=2, width=64, heads=4)
        Transformer(depth=2, width=64, heads=4, mlp_ratio=4, dropout=0.0, tied_embeddings=True,
        rotary_base=10000.0)
    """

    def build(self, vocabulary: int, *, dtype: DTypeLike = jnp.float32) -> TokenModel:
        """Returns the network for a vocabulary of this size.

        Args:
            vocabulary: the number of different tokens, which is that of the logits.
            dtype: the dtype that the layers compute in, float32 or bfloat16. Parameters and logits
                are float32 in either case.

        Raises:
            ValueError: when there are fewer than two tokens.
        """
        raise NotImplementedError
