"""The train state: everything that an update changes, and nothing else."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxsched.models import Variables


@flax.struct.dataclass
class TrainState:
    """The state that an update takes and returns.

    It holds arrays only, so that it can be donated, compared and saved. `step` is the number of
    updates already applied. The update that makes step + 1 uses every schedule at `step`: the first
    update of a run uses their values at 0.

    Attributes:
        step: int32[], the number of updates already applied.
        params: the trained parameters, float32.
        batch_stats: the running statistics of the batch norms, float32.
        opt_state: the state of the Optax chain.
        observed: f32[], the metric of the last evaluation that plateau looks at. It is the
            largest float32 before the first evaluation, when plateau does not look at it.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    observed: jax.Array

    @property
    def variables(self) -> Variables:
        """The parameters and statistics as a task's functions take them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def init_state(variables: Variables, tx: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first update.

    Call it under `jax.jit`: the arrays that a jitted function returns never share a buffer, and a
    buffer that is shared cannot be donated.

    Args:
        variables: the first parameters and batch statistics.
        tx: the Optax chain.
    """
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=tx.init(variables["params"]),
        # Not infinity, which `jax_debug_infs` would take for an error.
        observed=jnp.full((), jnp.finfo(jnp.float32).max, jnp.float32),
    )
