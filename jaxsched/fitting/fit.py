"""The one call that trains a module on arrays; imports what it needs only when it is called."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optax

from jaxsched.extras import require_extra
from jaxsched.optim.optimizers import Optimizer
from jaxsched.plan import Phase
from jaxsched.schedules import Schedule

if TYPE_CHECKING:
    from jaxsched.fitting.fitted import Fitted
    from jaxsched.tasks import Loss, OwnMetric
    from jaxsched.tracking import Logger
    from jaxsched.train import Evaluation


def fit(
    model: Any,
    train: Any,
    *,
    optimizer: "Optimizer | optax.GradientTransformation | Schedule | None" = None,
    test: Any = None,
    loss: "str | Loss | Callable[[Any, Any], Any]" = "cross_entropy",
    epochs: float = 10,
    batch_size: int = 128,
    phases: Phase | Sequence[Phase] | None = None,
    metrics: "Sequence[OwnMetric]" = (),
    augment: Callable[..., Any] | None = None,
    seed: int = 0,
    workdir: str | Path | None = None,
    on_evaluation: "Callable[[Evaluation], None]" = lambda row: None,
    loggers: "Sequence[Logger]" = (),
    **settings: Any,
) -> "Fitted":
    """Trains a Flax module on arrays; returns its rows, its weights and its predictions.

    It is an `Experiment` with the task `Supervised`, run by the same trainer as a config file, so
    that everything of an experiment is at hand: schedules in epochs, batch phases and growth,
    averaging, ABEL, several devices.

    Args:
        model: a Linen module; an NNX module, which starts from the weights that it has and is not
            changed; or a function `rngs -> NNX module`, which draws weights by the seed. See
            `LinenModule` and `NnxModule` for how it is told that it trains.
        train: the examples: `(x, y)`, or `(x, mask, y)` for a module of two inputs; an iterable of
            such batches, which is read once into memory, to be shuffled and cut anew; or a
            `jaxsched.data.Source`. See `Arrays` for what becomes of dtypes.
        optimizer: a spec such as `js.SGD`, whose schedules are in epochs; an Optax transformation,
            whose schedules count updates; or a schedule, that of plain SGD's learning rate. There
            is no default.
        test: the examples to evaluate on, given as `train` is; or the share of `train` to hold out.
            None holds out a tenth.
        loss: "cross_entropy" with whole-number labels, "mean_squared_error", a spec of
            `jaxsched.tasks`, or a function `(outputs, targets) -> f32[B]`, each example's loss.
        epochs: how long to train.
        batch_size: examples in an update.
        phases: several phases, in place of `epochs` and `batch_size`.
        metrics: what to measure beside the loss and, with cross-entropy, the accuracy.
        augment: `(key, *inputs) -> inputs`, changes one training example at random.
        seed: the seed of initial weights, order, augmentation and dropout.
        workdir: a folder for the run's record and checkpoints. The same call goes on after an
            interruption, bit for bit, and returns a finished run without training it again.
        on_evaluation: called with each row as soon as it is measured.
        loggers: are told about the run, such as `jaxsched.tracking.TensorBoard(folder)` or one of
            your own; see `jaxsched.tracking.Logger`.
        **settings: other fields of `Experiment`, such as `evaluate_every` or `num_devices`.

    Raises:
        ValueError: before anything compiles, when data, module, loss or a setting do not fit
            together; in one sentence.
        Preempted: when a signal ended a run with a `workdir`, after it was saved.

    Example:
        >>> import flax.linen as nn, jaxsched as js
        >>> from sklearn.datasets import load_digits
        >>> network = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(10)])
        >>> x, y = load_digits(return_X_y=True)
        >>> fitted = js.fit(network, (x / 16, y), epochs=5, optimizer=js.Adam(1e-2))
        >>> fitted.rows[-1].test_accuracy > 0.9, fitted.predict(x[:3] / 16).shape
        (True, (3, 10))
        >>> from flax import nnx
        >>> numbers = x[:, 27:28] / 16  # a regression: one pixel from all
        >>> fitted = js.fit(
        ...     nnx.Linear(64, 1, rngs=nnx.Rngs(0)), (x / 16, numbers), loss="mean_squared_error",
        ...     optimizer=js.Cosine(0.1, duration="100%"), epochs=3,
        ... )
        >>> fitted.rows[-1].test_loss < fitted.rows[0].test_loss, fitted.module(x[:3] / 16).shape
        (True, (3, 1))
    """
    require_extra("js.fit", "train", "flax", "orbax.checkpoint", "filelock", "platformdirs", "rich")
    from jaxsched.fitting.experiment import experiment_of
    from jaxsched.fitting.run import run

    experiment = experiment_of(
        model=model,
        train=train,
        test=test,
        loss=loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        phases=phases,
        metrics=metrics,
        augment=augment,
        seed=seed,
        settings=settings,
    )
    folder = None if workdir is None else Path(workdir).expanduser()
    return run(experiment, folder, on_evaluation, loggers)
