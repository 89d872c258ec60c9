"""What a stranger gets wrong at first ends in one sentence, before anything compiles."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxsched as js
from jaxsched.data import Digits
from jaxsched.tasks import CrossEntropy, OwnMetric
from jaxsched.train import Program

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.arange(60) % 3
TARGETS = X.sum(axis=1)


class Mlp(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, train: bool = False):
        return nn.Dense(3)(nn.relu(nn.Dense(self.width)(x)))


class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask):
        return nn.Dense(3)(x * mask)


class Images(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.Conv(4, (3, 3))(x).reshape(len(x), -1))


class Caching(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.variable("cache", "seen", jnp.zeros, (1,))
        return nn.Dense(3)(x)


class NnxMlp(nnx.Module):
    def __init__(self, width, *, rngs):
        self.linear = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


def with_nan():
    x = X.copy()
    x[17, 2] = np.nan
    return x


def endless():
    while True:
        yield X, Y


GOOD = {"model": Mlp(8), "train": (X, Y), "optimizer": js.SGD(0.1), "batch_size": 16}
REGRESSION = {"loss": "mean_squared_error", "train": (X, TARGETS)}
MISTAKES = {
    # The data.
    "one array": ({"train": X}, "give both"),
    "a list of arrays": ({"train": [X, Y]}, "give whole arrays as a tuple, (x, y)"),
    "x alone": ({"train": (X,)}, "as in train=(x, y)"),
    "lengths": ({"train": (X, Y[:50])}, "same number of examples, got 60 in x, 50 in y"),
    "test lengths": ({"test": (X[:9], Y[:8])}, "test needs arrays with the same number"),
    "test of another shape": ({"test": (X[:9, :3], Y[:9])}, "float32[N, 4] and int32[N] in train"),
    "nan": ({"train": (with_nan(), Y)}, "first in example 17"),
    "infinity": ({**REGRESSION, "train": (X, TARGETS * np.inf)}, "y of train needs finite numbers"),
    "too large": ({"train": (X * 1e200, Y)}, "within float32"),
    "objects": ({"train": (X.astype(object), Y)}, "an array of objects"),
    "ragged": ({"train": ([[1.0], [1.0, 2.0]], Y[:2])}, "x of train needs to be an array"),
    "text labels": ({"train": (X, np.array(["a"] * 60))}, "np.unique(y, return_inverse=True)"),
    "empty": ({"train": (X[:0], Y[:0])}, "needs examples along its first axis"),
    "a name": ({"train": "cifar10"}, "Tfds('cifar10')"),
    "a dict": ({"train": {"x": X, "y": Y}}, "train=(x, y)"),
    "dict batches": ({"train": [{"image": X, "label": Y}]}, 'b["image"], b["label"]'),
    "no batches": ({"train": iter(())}, "got none; an iterator can be read only once"),
    "unlike batches": ({"train": [(X, Y), (X[:, :3], Y)]}, "batch 1 of train needs examples like"),
    "a source and a test": ({"train": Digits(), "test": (X, Y)}, "test=None with a source"),
    "all held out": ({"test": 1.0}, "share of train within (0, 1)"),
    "nothing to evaluate on": ({"test": 0.0}, "share of train within (0, 1)"),
    # Labels and outputs.
    "labels out of range": ({"train": (X, Y + 1)}, "labels within 0 … 2"),
    "negative labels": ({"train": (X, Y - 1)}, "got -1 in example 0"),
    "float labels": ({"train": (X, Y.astype(float))}, "convert them by y.astype(int)"),
    "one-hot labels": ({"train": (X, np.eye(3)[Y])}, "one-hot rows by y.argmax(axis=-1)"),
    "labels in a column": ({"train": (X, Y[:, None])}, "give labels y[:, 0]"),
    "one logit": ({"model": nn.Dense(1), "train": (X, Y % 2)}, "2 outputs for two classes"),
    "a column for numbers": ({**REGRESSION, "model": nn.Dense(1)}, "or targets y[:, None]"),
    "other outputs": ({**REGRESSION, "model": nn.Dense(3)}, "float32[B], the shape of the targets"),
    "a mean for a loss": ({"loss": lambda outputs, y: outputs.mean()}, "got one number; leave"),
    "a loss that fails": ({"loss": lambda outputs, y: outputs @ y}, "loss fails on outputs"),
    "an unknown loss": ({"loss": "mse"}, "'cross_entropy', 'mean_squared_error'"),
    "the class of a loss": ({"loss": CrossEntropy}, "write it with ()"),
    "a mean for a metric": (
        {"metrics": (OwnMetric("error", lambda outputs, y: jnp.mean(outputs), "lower"),)},
        "error needs to return one number an example",
    ),
    "the name of a metric": (
        {"metrics": (OwnMetric("accuracy", lambda outputs, y: y, "higher"),)},
        "metrics of different names",
    ),
    "an augmentation to another shape": ({"augment": lambda key, x: x[:2]}, "augment needs to"),
    # The module.
    "a class": ({"model": Mlp}, "write Mlp(…)"),
    "an NNX class": ({"model": NnxMlp}, "or lambda rngs: NnxMlp(…, rngs=rngs)"),
    "no module": ({"model": 3}, "got 3; write the module itself"),
    "the name of a module": ({"model": "resnet"}, "got 'resnet'"),
    "another input": ({"model": Masked()}, "Masked(x, mask) needs 2 inputs, the data have 1"),
    "inputs too many": ({"train": (X, X, Y)}, "Mlp(x, train) needs 1 input, the data have 2"),
    "images": ({"model": Images()}, "Images fails on inputs float32[B, 4]"),
    "features": ({"model": NnxMlp(5, rngs=nnx.Rngs(0))}, "NnxMlp fails on inputs float32[B, 4]"),
    "state elsewhere": ({"model": Caching()}, "keep it in 'batch_stats'"),
    "a function of no module": ({"model": lambda rngs: rngs}, "a function that makes a flax.nnx"),
    "a function that fails": ({"model": lambda rngs: NnxMlp()}, "fails to make a module"),
    # The run.
    "no optimizer": ({"optimizer": None}, "write js.SGD(0.1, momentum=0.9)"),
    "lr": ({"lr": 0.1, "optimizer": None}, "write optimizer=js.SGD(0.1, momentum=0.9)"),
    "no field": ({"dropout": 0.1}, "fit takes no dropout"),
    "a number for an optimizer": ({"optimizer": 0.1}, "write js.SGD(0.1, momentum=0.9)"),
    "the name of an optimizer": ({"optimizer": "adam"}, "got 'adam'"),
    "a factory": ({"optimizer": optax.sgd}, 'js.FromOptax(optax.sgd, {"learning_rate": 0.1})'),
    "an optimizer's class": ({"optimizer": js.SGD}, "write js.SGD(…)"),
    "epochs as text": ({"epochs": "10"}, "epochs as a number, got epochs='10'"),
    "a batch size of half": ({"batch_size": 0.5}, "batch_size"),
    "a large batch": ({"batch_size": 128}, "use batch_size=54 or less"),
    "seed": ({"seed": "0"}, "write 0 without quotes"),
    "bfloat16": ({"precision": "bfloat16"}, "the dtype that its layers are given"),
    "evaluations": ({"evaluate_every": 0}, "evaluate_every above 0"),
}


@pytest.mark.parametrize(("mistake", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(mistake, words, monkeypatch):
    def compiles(*arguments, **options):
        raise AssertionError("it came to a program")

    monkeypatch.setattr(Program, "__init__", compiles)
    with pytest.raises(ValueError) as raised:
        js.fit(**{**GOOD, **mistake})
    message = str(raised.value)
    assert words in message
    assert "\n" not in message and message.endswith(".")
    assert len(message) < 450


def test_batches_without_end_are_refused_when_they_do_not_fit(monkeypatch):
    monkeypatch.setattr("jaxsched.data.sources.batches._half_of_memory", lambda: 10_000)
    with pytest.raises(ValueError, match="half of the machine's memory"):
        js.fit(**{**GOOD, "train": endless()})


def test_predict_knows_the_inputs_of_training():
    fitted = js.fit(**{**GOOD, "epochs": 1, "num_devices": 1})
    for wrong, words in (
        ((), "predict needs 1 inputs"),
        ((X[:, :2],), r"float32\[N, 4\], as in training, got float32\[N, 2\]"),
        ((with_nan(),), "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            fitted.predict(*wrong)
    with pytest.raises(ValueError, match=r"averaging=js\.Averaging"):
        fitted.predict(X, averaged=True)


def test_a_schedule_that_outlasts_the_run_is_said(monkeypatch):
    def compiles(*arguments, **options):
        raise AssertionError("it came to a program")

    monkeypatch.setattr(Program, "__init__", compiles)
    updates_for_epochs = js.SGD(js.Cosine(0.1, duration=1000))
    with pytest.warns(UserWarning, match="lr"), pytest.raises(AssertionError, match="program"):
        js.fit(**{**GOOD, "optimizer": updates_for_epochs})
