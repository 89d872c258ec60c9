"""The state of a run: what changes from update to update, and nothing else."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxsched.models import Model


@flax.struct.dataclass
class TrainState:
    """What an update takes and returns: arrays only, so that it donates, compares and is saved.

    `step` is the number of updates already applied. The update that makes step + 1 uses every
    schedule at `step`: the first update of a run uses their values at 0.

    Attributes:
        step: int32[].
        params: the trained parameters, float32.
        batch_stats: running statistics of the batch norms, float32.
        opt_state: the state of the Optax chain.
        observed: f32[], the value of the last evaluation that a plateau looks at; infinite, and
            not looked at, before the first.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    observed: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """What `Model` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def init_state(
    model: Model,
    tx: optax.GradientTransformation,
    key: jax.Array,
    image_shape: tuple[int, int, int],
) -> TrainState:
    """The state before the first update.

    Call it under `jax.jit`: what a jitted function returns never shares buffers, and a shared one
    cannot be donated.

    Args:
        model: the network.
        tx: the Optax chain.
        key: what the parameters are drawn from.
        image_shape: height, width, channels.
    """
    variables = model.init(key, image_shape)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=tx.init(variables["params"]),
        observed=jnp.full((), jnp.inf, jnp.float32),
    )
