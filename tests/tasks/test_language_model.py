"""The language model's loss and metrics against NumPy, and runs of it against plain loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.data import Digits, Streamed, TextDataset, TextFiles, TokenFiles, epoch_order
from jaxsched.data.text.vocabulary import Vocabulary
from jaxsched.data.text.windows import Windows
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet, Transformer
from jaxsched.tasks import ImageClassification, LanguageModel
from jaxsched.train import Program, train

TEXT = b"how much wood would a woodchuck chuck if a woodchuck could chuck wood? " * 12
OPTIMIZER = js.AdamW(
    js.Warmup(js.Linear(0.02, 0.0, "100%"), "5 updates"),
    b2=0.99,
    weight_decay=0.1,
    decay_mask="kernels",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "wood.txt").write_bytes(TEXT)
    return folder


@pytest.fixture(scope="module")
def experiment(folder):
    """95 windows, no multiple of the batch size: batches straddle epochs."""
    return Experiment(
        name="wood",
        task=LanguageModel(
            model=Transformer(depth=1, width=8, heads=2),
            data=TextFiles(folder, context=8),
        ),
        phases=(js.Phase(epochs=1.5, batch_size=8), js.Phase(epochs=1.5, batch_size=16)),
        optimizer=OPTIMIZER,
        num_devices=1,
    )


def run(experiment, **options):
    rows, program = [], Program(experiment, experiment.task.data.load())
    outcome = train(program, 3, on_evaluation=rows.append, **options)
    return outcome.state, [
        dataclasses.replace(row, train_seconds=0.0, evaluation_seconds=0.0) for row in rows
    ]


@pytest.fixture(scope="module")
def trained(experiment):
    return run(experiment)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.slow
def test_metrics_are_nats_a_token_and_bits_a_byte():
    """With tokens of 1, 2 and 5 bytes; the last example does not count."""
    lengths = np.array([1, 2, 5], np.int32)
    windows = np.random.default_rng(0).integers(3, size=(4, 6)).astype(np.uint16)
    split = Windows(windows)
    dataset = TextDataset("few", split, split, "test", Vocabulary(lengths, "digest"), (0, 0))
    task = LanguageModel(Transformer(depth=1, width=4, heads=1), TextFiles("texts"))
    functions = task.build(dataset)
    variables = jax.jit(functions.init)(jax.random.key(0))
    inputs = functions.evaluation_inputs((jnp.asarray(windows),))
    np.testing.assert_array_equal(functions.targets(inputs), windows[:, 1:])
    log_p = np.float64(jax.jit(functions.predict)(variables, inputs))
    np.testing.assert_allclose(np.exp(log_p).sum(-1), 1, rtol=1e-5)

    def expected(count):
        targets = windows[:count, 1:]
        nats = -np.take_along_axis(log_p[:count], targets[..., None].astype(int), axis=-1)
        return nats.mean(), nats.sum() / np.log(2) / lengths[targets].sum()

    counts = jnp.array([True, True, True, False])
    sums = jax.jit(functions.evaluate)(variables, inputs, counts)
    values = functions.metric_values(jax.device_get(sums))
    assert (values["loss"], values["bits_per_byte"]) == pytest.approx(expected(3), rel=1e-5)
    keys = jax.random.split(jax.random.key(1), 4)
    loss, (stats, sums) = jax.jit(functions.train_loss)(variables, inputs, keys)
    values = functions.metric_values(jax.device_get(functions.zero_sums() + sums))
    assert (float(loss), values["bits_per_byte"]) == pytest.approx(expected(4), rel=1e-5)
    assert stats == {}


def test_an_evaluation_of_large_outputs_is_cut_up():
    """512 windows of GPT-2's context and vocabulary would have logits of 105 gigabytes."""
    split = Windows(np.zeros((4, 1025), np.uint16))
    vocabulary = Vocabulary(np.ones(50_257, np.int32), "digest")
    dataset = TextDataset("large", split, split, "test", vocabulary, (0, 0))
    task = LanguageModel(Transformer(depth=1, width=4, heads=1), TextFiles("texts"))
    assert task.build(dataset).most_evaluated == 4


def test_metrics_are_better_lower_and_the_main_one_is_bits_a_byte(experiment):
    assert [(m.name, m.better, m.is_share) for m in experiment.task.metrics] == [
        ("loss", "lower", False),
        ("bits_per_byte", "lower", False),
    ]
    assert experiment.task.main_metric.name == "bits_per_byte"


@pytest.mark.slow
def test_a_run_is_that_of_a_plain_loop(experiment, trained):
    """Flax's module, Optax's AdamW and a for-loop, in the stated order of the examples."""
    dataset = experiment.task.data.load()
    windows, N = dataset.train.tokens.astype(np.int32), len(dataset.train)
    assert N == 95
    model = experiment.task.model.build(256)
    key = jax.random.key(3)
    params = model.init(jax.random.fold_in(key, 0))
    orders = [epoch_order(jax.random.fold_in(key, 1), epoch, N) for epoch in range(4)]
    order = np.concatenate(orders)
    sizes = [8] * 18 + [16] * 9  # 8-batches start at 0 … 136 < 142.5, 16-batches at 144 … 272 < 285

    def lr(step):
        """A line to 0 over three epochs, and another one up to where it is after five updates."""
        return 0.02 * (1 - sum(sizes[: max(step, 5)]) / (3 * N)) * min(1, step / 5)

    rates = jnp.array([lr(step) for step in range(len(sizes))])
    decays = {"kernel": True, "embedding": False, "scale": False}
    mask = jax.tree_util.tree_map_with_path(lambda path, _: decays[path[-1].key], params)
    tx = optax.adamw(lambda step: rates[step], 0.9, 0.99, weight_decay=0.1, mask=mask)
    state = tx.init(params)

    @jax.jit
    def update(params, state, batch):
        def loss(params):
            log_p = jax.nn.log_softmax(model.eval_logits(params, batch[:, :-1]))
            return -jnp.take_along_axis(log_p, batch[:, 1:, None], axis=-1).mean()

        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    start = 0
    for size in sizes:
        params, state = update(params, state, windows[order[start : start + size]])
        start += size
    ours, rows = trained
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), ours.params, params)
    log_p = jax.nn.log_softmax(model.eval_logits(params, dataset.test.tokens[:, :-1].astype(int)))
    targets = dataset.test.tokens[:, 1:, None].astype(int)
    nats = -np.take_along_axis(np.asarray(log_p), targets, axis=-1).mean()
    assert rows[-1].test_loss == pytest.approx(nats, rel=1e-3)
    assert rows[-1].test_bits_per_byte == pytest.approx(nats / np.log(2), rel=1e-3)  # bytes
    assert rows[-1].step == len(sizes)
    assert rows[-1].test_loss < 3.5 < rows[0].train_loss < np.log(256)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["token_files", "streamed"])
def test_streamed_text_gives_the_same_bits(experiment, trained, folder, kind):
    source = Streamed(experiment.task.data)
    if kind == "token_files":
        tokens, cut = np.frombuffer(TEXT, np.uint8).astype("<u2"), len(TEXT) - -(-len(TEXT) // 10)
        tokens[:cut].tofile(folder / "train.bin")
        tokens[cut:].tofile(folder / "val.bin")
        source = TokenFiles(folder, context=8)
    state, rows = run(experiment.with_task(data=source))
    assert_same_bits(state, trained[0])
    assert rows == trained[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"driver": "jit", "num_devices": 4},
        {"driver": "pmap", "num_devices": 4},
        {"max_device_batch": 4},
    ],
)
def test_devices_and_micro_batches_give_the_same_run(experiment, trained, changes):
    state, rows = run(dataclasses.replace(experiment, **changes))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), state.params, trained[0].params
    )
    for row, expected in zip(rows, trained[1], strict=True):
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert row.test_bits_per_byte == pytest.approx(expected.test_bits_per_byte, rel=1e-4)


def test_data_of_another_kind_are_refused_before_anything_compiles(experiment):
    with pytest.raises(ValueError, match=r"LanguageModel needs text, which Digits.* does not have"):
        Program(experiment.with_task(data=Digits()), Digits().load())
    images = ImageClassification(CifarResNet(depth=8), experiment.task.data)
    with pytest.raises(ValueError, match="ImageClassification needs images"):
        images.build(experiment.task.data.load())
    with pytest.raises(ValueError, match="LanguageModel needs model as a TokenNetwork"):
        LanguageModel(CifarResNet(depth=8), experiment.task.data)
