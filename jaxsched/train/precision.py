"""The precision of products: float32 means float32, on every backend."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


def in_precision(precision: str, function: Callable[P, R]) -> Callable[P, R]:
    """Returns the function, traced so that products of float32 numbers are as exact as asked for.

    A TPU multiplies float32 matrices in bfloat16, and a GPU in TF32, unless a program asks for
    more. A CPU always multiplies them in float32.

    Args:
        precision: that of an experiment; "bfloat16" leaves the function to the backend's default.
        function: a function that JAX traces, with its gradients inside.

    Example:
        >>> import jax.numpy as jnp
        >>> exact = in_precision("float32", jnp.dot)
        >>> "HIGHEST" in jax.jit(exact).lower(jnp.ones((2, 2)), jnp.ones((2, 2))).as_text()
        True
    """
    if precision != "float32":
        return function

    @functools.wraps(function)
    def exact(*args: P.args, **kwargs: P.kwargs) -> R:
        # A new one for each call: programs are traced in several threads.
        with jax.default_matmul_precision("float32"):
            return function(*args, **kwargs)

    return exact
