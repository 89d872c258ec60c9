"""Writes gymnasium_cartpole.json: episodes of Gymnasium's CartPole-v1 under four controllers.

Run in an environment with gymnasium 1.4 (MIT license):

    python tests/experiments/reinforcement/record_gymnasium_cartpole.py
"""

import json
import pathlib

import numpy as np

RANDOM = np.random.default_rng(0)
CONTROLLERS = {
    "random": lambda x, x_dot, theta, theta_dot: int(RANDOM.integers(2)),
    "left": lambda x, x_dot, theta, theta_dot: 0,
    # Keeps the pole a little to the right, so that the cart leaves the track.
    "pole": lambda x, x_dot, theta, theta_dot: int(theta + 0.3 * theta_dot > 0.03),
    # Balances both until the time is up.
    "both": lambda x, x_dot, theta, theta_dot: int(
        0.1 * x + 0.2 * x_dot + theta + 0.5 * theta_dot > 0
    ),
}


def episode(controller) -> dict:
    """Plays until the episode ends."""
    environment = gymnasium.make("CartPole-v1")
    observation, _ = environment.reset(seed=1)
    observations, actions, ends = [observation.tolist()], [], []
    while not ends or not any(ends[-1]):
        actions.append(controller(*map(float, observation)))
        observation, reward, terminated, truncated, _ = environment.step(actions[-1])
        assert reward == 1
        observations.append([float(str(number)) for number in observation])
        ends.append((bool(terminated), bool(truncated)))
    return {"observations": observations, "actions": actions, "end": ends[-1]}


if __name__ == "__main__":
    import gymnasium

    recorded = {name: episode(controller) for name, controller in CONTROLLERS.items()}
    for name, played in recorded.items():
        print(name, len(played["actions"]), played["end"], played["observations"][-1])
    text = json.dumps({"gymnasium": gymnasium.__version__, "episodes": recorded})
    pathlib.Path(__file__).with_name("gymnasium_cartpole.json").write_text(text + "\n")
