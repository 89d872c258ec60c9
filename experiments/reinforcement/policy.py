"""The network: probabilities of the actions, and the value of a state."""

from typing import Any

import flax.linen as nn
import jax

NUM_ACTIONS = 2


class ActorCritic(nn.Module):
    """Two networks of two hidden layers each, initialized as is usual for PPO."""

    width: int = 64

    @nn.compact
    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Observations f32[..., 4] to logits f32[..., 2] and values f32[...]."""

        def network(size: int, scale: float) -> jax.Array:
            x = observation
            for _ in range(2):
                x = nn.tanh(nn.Dense(self.width, kernel_init=nn.initializers.orthogonal(2**0.5))(x))
            return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))(x)

        return network(NUM_ACTIONS, 0.01), network(1, 1.0)[..., 0]


NETWORK: Any = ActorCritic()
# |w|² before any update, the same for all seeds: the squared norm of an orthogonal matrix is its
# scale's times the smaller of its sides. Two networks have layers of 4 and 64 at scale √2, the
# heads have scales of 0.01 and 1; biases are 0.
INITIAL_SQUARED_NORM = 2 * (2 * (4 + 64)) + 0.01**2 * NUM_ACTIONS + 1
