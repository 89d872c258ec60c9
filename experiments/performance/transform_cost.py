"""What do stateful transformations add to an update? A whole chain against bare `optax.sgd`.

    python experiments/performance/transform_cost.py

Two pairs on a ResNet-8 of width 16: the update alone, and a training step at batch 128 of
32 × 32 images, whose ratio is what a run sees. The chains take turns within one process, and each
round contains an epoch's end. The numbers are medians over rounds of the time of an update.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

import jaxsched as js
from jaxsched.models import CifarResNet

BATCH_SIZE = 128
NUM_ROUNDS = 15
LR = js.OneCycle(0.1, duration=10_000)
# As in an experiment: everything scheduled, ABEL, plateau, and an average of every epoch.
EVERYTHING = js.SGD(
    js.OneCycle(0.1, duration="100%"),
    momentum=js.OneCycle(0.1, duration="100%").momentum(0.95, 0.85),
    weight_decay=js.Cosine(5e-4, duration="100%"),
    abel=js.Abel(0.2),
    plateau=js.Plateau(),
    averaging=js.Averaging(start=0),
)


def chains(steps_per_epoch: int) -> dict[str, optax.GradientTransformation]:
    """The chains that are compared, by name."""
    sgd = optax.sgd(LR, momentum=0.9)
    at_start = js.every(steps_per_epoch)
    abel = js.scale_by_abel(0.2, at_start)
    average = js.average_params(lambda step: at_start(step + 1))
    plan = js.Plan((js.Phase(1000, 1),), num_examples=steps_per_epoch)
    marks = range(steps_per_epoch, plan.total_steps, steps_per_epoch)
    return {
        "sgd": sgd,
        "sgd + abel": optax.chain(sgd, abel),
        "sgd + average": optax.chain(sgd, average),
        "weight decay + sgd + abel + average": optax.chain(
            optax.add_decayed_weights(5e-4), sgd, abel, average
        ),
        "an experiment's, with everything": EVERYTHING.transformation(plan, marks),
    }


def make_round(
    tx: optax.GradientTransformation,
    gradient: Callable[[optax.Params], optax.Updates],
    params: optax.Params,
    num_updates: int,
) -> Callable[[], float]:
    """Makes a function that runs an epoch of jitted updates and returns the seconds of one."""

    tx = optax.with_extra_args_support(tx)

    def step(params, state):
        updates, state = tx.update(gradient(params), state, params, value=jnp.float32(1.0))
        return optax.apply_updates(params, updates), state

    update = jax.jit(step, donate_argnums=(0, 1))
    # A copy, because the update donates its arguments.
    carry = (jax.tree.map(jnp.copy, params), tx.init(params))

    def run() -> float:
        nonlocal carry
        start = time.perf_counter()
        for _ in range(num_updates):
            carry = update(*carry)
        jax.block_until_ready(carry)
        return (time.perf_counter() - start) / num_updates

    return run


def compare(
    title: str,
    gradient: Callable[[optax.Params], optax.Updates],
    params: optax.Params,
    num_updates: int,
) -> None:
    """Prints the median time of an update in each chain, and its ratio to bare SGD's."""
    rounds = {
        name: make_round(tx, gradient, params, num_updates)
        for name, tx in chains(num_updates).items()
    }
    for run in rounds.values():  # compilation, outside the clock
        run()
    seconds = {name: [] for name in rounds}
    for _ in range(NUM_ROUNDS):
        for name, run in rounds.items():
            seconds[name].append(run())
    print(f"{title}, median of {NUM_ROUNDS} rounds of {num_updates} updates")
    for name, times in seconds.items():
        ratio = statistics.median(
            ours / bare for ours, bare in zip(times, seconds["sgd"], strict=True)
        )
        print(f"  {1e6 * statistics.median(times):10.1f} µs  {ratio:6.3f}  {name}")


def main() -> None:
    """Makes both comparisons."""
    model = CifarResNet(depth=8, width=16).build(num_classes=10)
    key = jax.random.key(0)
    variables = jax.jit(model.init, static_argnums=1)(key, (32, 32, 3))
    images = jax.random.normal(key, (BATCH_SIZE, 32, 32, 3))
    labels = jnp.arange(BATCH_SIZE) % 10
    keys = jax.random.split(key, BATCH_SIZE)

    def loss(params):
        logits, _ = model.train_logits(variables | {"params": params}, images, keys)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    params = variables["params"]
    leaves = jax.tree.leaves(params)
    print(f"{sum(w.size for w in leaves)} parameters in {len(leaves)} leaves")
    # The parameters serve as their own gradient, which then costs nothing.
    compare("Update alone", lambda params: params, params, num_updates=100)
    compare(f"ResNet-8 at batch {BATCH_SIZE}", jax.grad(loss), params, num_updates=2)


if __name__ == "__main__":
    main()
