"""Checkpoints: a restored checkpoint equals the saved one, whatever happened in between."""

import functools
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsched.train.checkpointing.checkpoints import (
    Checkpoints,
    Snapshot,
    restore_beside,
    restore_named,
)
from jaxsched.train.checkpointing.orbax_io import saved_steps


@flax.struct.dataclass
class State:
    step: Any
    params: Any
    batch_stats: Any
    opt_state: Any


class MetricSums(NamedTuple):
    loss: Any
    correct: Any


def replicated(num_devices):
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("replicas",))
    return NamedSharding(mesh, PartitionSpec())


def init(step):
    """A state and sums of all types and containers that occur; they differ at every step."""
    key = jax.random.fold_in(jax.random.key(0), step)
    params = OrderedDict(
        zebra={"kernel": jax.random.normal(key, (3, 3, 5, 7))},
        ant={"bias": jax.random.normal(key, (7,), jnp.bfloat16)},
    )
    flags = {"reached": jax.random.bernoulli(key, shape=(9,)), "count": step + jnp.arange(4)}
    tx = optax.named_chain(("adam", optax.adam(0.1)), ("nothing", optax.identity()))
    state = State(step, params, batch_stats={}, opt_state=(tx.init(params), flags, None))
    return state, MetricSums(jax.random.normal(key), step > 3)


@functools.cache
def jitted(num_devices):
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(init, out_shardings=replicated(num_devices), compiler_options=options)


def draw(step, num_devices=1) -> Any:
    """Makes arrays as a jitted update returns them: on devices, without shared buffers."""
    return jitted(num_devices)(np.int32(step))


def assert_same(got, want):
    """Compares arrays on the host bit for bit, including their types."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert isinstance(a, np.ndarray)
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def save(folder, *steps):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, draw(step), {"seconds": step / 3})


def restore(folder) -> Snapshot:
    with Checkpoints(folder) as checkpoints:
        snapshot = checkpoints.restore(draw(0))
    assert snapshot is not None
    return snapshot


def assert_is(snapshot, step):
    assert snapshot.step == step and snapshot.content == {"seconds": step / 3}
    assert_same(snapshot.arrays, draw(step))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.stem != "lock")


@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_saved_comes_back_bit_for_bit(tmp_path, num_devices, abstract):
    rows = [{"loss": 0.1 + 0.2, "lr": None, "name": "é"}, {"loss": np.nan, "norm": np.inf}]
    content = {"rows": rows, "seconds": 1e-17}
    with Checkpoints(tmp_path / "new" / "run") as checkpoints:
        assert checkpoints.restore(draw(0, num_devices)) is None
        checkpoints.save(7, draw(7, num_devices), content)
        like = draw(0, num_devices)
        if abstract:
            like = jax.eval_shape(lambda: like)
        snapshot = checkpoints.restore(like)
        assert saved_steps(tmp_path / "new" / "run") == [7]
    assert snapshot is not None and snapshot.step == 7
    assert repr(snapshot.content) == repr(content)  # as NaN is not equal to itself
    assert_same(snapshot.arrays, draw(7, num_devices))


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize(("count", "size"), [(60, 1001), (4, 1_500_000)])
def test_arrays_may_be_donated_as_soon_as_save_returns(tmp_path, num_devices, count, size):
    """On a CPU, host copies are views of the memory that a donating update writes to."""

    def draw_many(seed):
        rows = jax.random.normal(jax.random.key(seed), (count, size))
        return {f"row{i}": row for i, row in enumerate(rows)}

    draw = jax.jit(draw_many, out_shardings=replicated(num_devices))
    update = jax.jit(lambda tree: jax.tree.map(lambda x: 3 * x + 1, tree), donate_argnums=0)
    update(draw(0))  # compiled before it races with a save
    like = draw(0)
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        for step in range(1, 4):
            arrays = draw(step)
            want = jax.tree.map(lambda x: np.array(x).tobytes(), draw(step))
            checkpoints.save(step, arrays, {})
            later = update(arrays)
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(arrays))
            for _ in range(4):
                later = update(later)
            jax.block_until_ready(later)
            snapshot = checkpoints.restore(like)
            assert snapshot is not None and snapshot.step == step
            assert {k: np.asarray(v).tobytes() for k, v in snapshot.arrays.items()} == want


def test_content_may_be_changed_as_soon_as_save_returns(tmp_path):
    rows = []
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, 4):
            rows.append(step)
            checkpoints.save(step, draw(step), {"rows": rows})
            rows.append("later")
            snapshot = checkpoints.restore(draw(0))
            assert snapshot is not None and snapshot.content["rows"] == rows[:-1]


def test_the_newest_the_best_and_the_named_are_kept(tmp_path):
    accuracies = [None, 0.5, 0.8, 0.7, 0.8, None, 0.75]
    with Checkpoints(tmp_path) as checkpoints:
        for step, accuracy in enumerate(accuracies):
            if step == 3:
                checkpoints.save_named("before_last_decay", step, draw(step), {"seconds": 1.0})
            checkpoints.save(step, draw(step), {"seconds": step / 3}, score=accuracy)
        checkpoints.wait()
        assert names(tmp_path) == ["2", "5", "6", "before_last_decay"]
    with Checkpoints(tmp_path) as checkpoints:  # reads the best of the earlier process from disk
        checkpoints.save(7, draw(7), {"seconds": 7 / 3}, score=0.79)
        checkpoints.save(8, draw(8), {"seconds": 8 / 3}, score=0.81)
        checkpoints.save(9, draw(9), {"seconds": 9 / 3})
    assert names(tmp_path) == ["8", "9", "before_last_decay"]
    assert_is(restore(tmp_path), 9)
    named = restore_named(tmp_path / "before_last_decay", draw(0))
    assert named.step == 3 and named.content == {"seconds": 1.0}
    assert_same(named.arrays, draw(3))


def test_without_accuracies_the_newest_are_kept(tmp_path):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for step in (2, 9, 10, 11, 100):
            checkpoints.save(step, draw(step), {})
    assert names(tmp_path) == ["10", "100", "11"]
    assert restore(tmp_path).step == 100


def test_what_is_saved_beside_comes_back_and_its_damage_is_found(tmp_path):
    more = {"mean": np.float32([0.5, -2.0]), "count": np.int32(3)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, draw(3), {}, beside=more)
        checkpoints.save_named("late", 3, draw(3), {}, beside=jax.tree.map(jnp.asarray, more))
        checkpoints.save(4, draw(4), {}, beside={})
    for name in ("3", "late"):
        assert_same(restore_beside(tmp_path / name, like=more), more)
        assert restore_named(tmp_path / name, like=draw(0)).step == 3
    assert restore_beside(tmp_path / "4", like={}) is None
    with pytest.raises(ValueError, match="the arrays of another network"):
        restore_beside(tmp_path / "3", like={**more, "mean": np.float32([0.5])})
    shutil.rmtree(tmp_path / "3/beside")
    with pytest.raises(ValueError, match=f"{tmp_path}/3 is damaged"):
        restore_beside(tmp_path / "3", like=more)
    assert restore_named(tmp_path / "3", like=draw(0)).step == 3


def test_a_step_that_is_saved_may_be_saved_again(tmp_path):
    save(tmp_path, 4, 4)
    with Checkpoints(tmp_path) as checkpoints:
        snapshot = checkpoints.restore(draw(0))
        assert snapshot is not None
        for _ in range(2):
            checkpoints.save(snapshot.step, snapshot.arrays, snapshot.content)
            checkpoints.save_named("end", snapshot.step, snapshot.arrays, snapshot.content)
        checkpoints.save(5, draw(5), {"seconds": 5 / 3})
    assert names(tmp_path) == ["4", "5", "end"]
    assert_is(restore(tmp_path), 5)
    assert_is(restore_named(tmp_path / "end", draw(0)), 4)


def test_a_run_that_did_not_restore_cannot_mix_with_another(tmp_path):
    save(tmp_path, 300)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(
            ValueError, match=r"after update 50.* of update 300; restore it first or use"
        ),
    ):
        checkpoints.save(50, draw(50), {})
    assert names(tmp_path) == ["300"]


@pytest.mark.parametrize("name", ["7", "a/b", "..", ""])
def test_a_name_must_not_look_like_a_step(tmp_path, name):
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match="name must be an identifier"),
    ):
        checkpoints.save_named(name, 7, draw(7), {})


def test_keep_is_checked(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1, got keep=0"):
        Checkpoints(tmp_path, keep=0)


# Damage.


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def one_digit(file):
    """Changes a digit: the file is still JSON, but wrong."""
    file.write_text(file.read_text().replace("1.333", "1.433"))


def shape(file):
    """Changes a shape: the file is still JSON, but describes another network."""
    file.write_text(file.read_text().replace("[3, 3, 5, 7]", "[3, 3, 5, 8]"))


DAMAGES = {
    "array data cut": lambda path: cut(largest_file(path / "arrays")),
    "array data flipped": lambda path: flip(largest_file(path / "arrays")),
    "array data gone": lambda path: largest_file(path / "arrays").unlink(),
    "array metadata gone": lambda path: (path / "arrays" / "_METADATA").unlink(),
    "arrays gone": lambda path: shutil.rmtree(path / "arrays"),
    "content cut": lambda path: cut(largest_file(path / "content")),
    "content empty": lambda path: largest_file(path / "content").write_text(""),
    "content null": lambda path: largest_file(path / "content").write_text("null"),
    "content altered": lambda path: one_digit(largest_file(path / "content")),
    "layout altered": lambda path: shape(largest_file(path / "content")),
    "content gone": lambda path: shutil.rmtree(path / "content"),
    "all gone": lambda path: [shutil.rmtree(path), path.mkdir()],
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path, damage, capfd):
    save(tmp_path, 3, 4)
    DAMAGES[damage](tmp_path / "4")
    with pytest.raises(ValueError, match=f"{tmp_path}/4 is damaged .*; use another checkpoint"):
        restore_named(tmp_path / "4", draw(0))
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.warns(UserWarning) as warned:
            snapshot = checkpoints.restore(draw(0))
        assert_is(snapshot, 3)
        [message] = [str(warning.message) for warning in warned]
        assert f"{tmp_path}/4 is damaged (" in message and "going on from update 3" in message
        assert "\n" not in message and len(message) < 1000
        assert names(tmp_path) == ["3", "4.damaged"]
        for step in (4, 5):
            checkpoints.save(step, draw(step), {"seconds": step / 3})
    assert names(tmp_path) == ["4", "4.damaged", "5"]
    assert_is(restore(tmp_path), 5)
    assert_is(restore_named(tmp_path / "4", draw(0)), 4)
    assert capfd.readouterr().err == ""


def test_a_damaged_best_is_no_obstacle(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, draw(1), {}, score=0.9)
        checkpoints.save(2, draw(2), {}, score=0.8)
        checkpoints.save(3, draw(3), {})
    DAMAGES["content empty"](tmp_path / "1")
    save(tmp_path, 4, 5)
    assert names(tmp_path) == ["2", "4", "5"]


def test_when_all_are_damaged_none_is_touched(tmp_path):
    save(tmp_path, 3, 4)
    DAMAGES["content cut"](tmp_path / "3")
    DAMAGES["array data flipped"](tmp_path / "4")
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match=r"got only damaged ones: .*/4 is.*/3 is.* Move the folder"),
    ):
        checkpoints.restore(draw(0))
    assert names(tmp_path) == ["3", "4"]


def other_type(arrays):
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x, arrays)


def other_shape(arrays):
    return jax.tree.map(lambda x: x[:4] if x.shape == (7,) else x, arrays)


def more(arrays):
    return (*arrays, {"more": jnp.zeros(2)})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (other_type, r"\.params\['ant'\]\['bias'\]: expected float32\[7\], got bfloat16\[7\]"),
        (other_shape, r"\['bias'\]: expected bfloat16\[4\], got bfloat16\[7\]; .*\. Use the exp"),
        (more, r"\[2\]\['more'\]: expected float32\[2\], got none\. Use the experiment"),
        (lambda arrays: arrays[1], r"expected float32\[\], got none; .* and \d+ more\. Use the"),
    ],
)
def test_another_network_is_not_taken_for_damage(tmp_path, other, message):
    save(tmp_path, 3, 4)
    like = other(draw(0))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(ValueError, match=message):
        checkpoints.restore(like)
    with pytest.raises(ValueError, match=message):
        restore_named(tmp_path / "4", like)
    assert names(tmp_path) == ["3", "4"]


def test_a_missing_folder_is_an_error_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent: expected the folder of a checkpoint"):
        restore_named(tmp_path / "absent", draw(0))


# Other processes.

PRELUDE = """
import sys
from pathlib import Path
import jax, numpy as np
from jaxsched.train.checkpointing.checkpoints import Checkpoints

folder = Path(sys.argv[1])

@jax.jit
def draw(step):
    rows = jax.random.normal(jax.random.fold_in(jax.random.key(0), step), (20, 10_000))
    return {f"row{i}": row for i, row in enumerate(rows)}
"""


def draw_many(step):
    namespace: dict[str, Any] = {}
    exec(PRELUDE.replace("sys.argv[1]", "''"), namespace)
    return namespace["draw"](np.int32(step))


def start(code, folder):
    command = [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(code), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


HOLD = """
    import signal
    checkpoints = Checkpoints(folder)
    print("held", flush=True)
    signal.pause()
"""


def test_a_folder_in_use_is_refused_until_its_process_ends(tmp_path):
    process = start(HOLD, tmp_path)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=f"{tmp_path}: .* process {process.pid} saves"):
            Checkpoints(tmp_path)
    finally:
        process.kill()
        process.communicate()
    with Checkpoints(tmp_path), pytest.raises(BlockingIOError, match=f"process {os.getpid()} "):
        Checkpoints(tmp_path)
    Checkpoints(tmp_path).close()


SAVE_ON = """
    with Checkpoints(folder) as checkpoints:
        snapshot = checkpoints.restore(draw(0))
        step = snapshot.step if snapshot else 0
        while True:
            step += 1
            checkpoints.save(step, draw(step), {"step": step}, score=step % 7 / 7)
            print(step, flush=True)
"""


def kill_and_go_on(folder, rounds, rng):
    """Kills processes that resume from each other; returns how many died during a save."""
    folder.mkdir(exist_ok=True)
    num_unfinished, durable = 0, 0
    for _ in range(rounds):
        process = start(SAVE_ON, folder)
        first = process.stdout.readline()
        time.sleep(rng.uniform(0, 0.7))
        process.kill()
        rest, errors = process.communicate()
        assert errors == ""
        last = int((first + rest).split()[-1])
        num_unfinished += any("orbax-checkpoint-tmp" in name for name in names(folder))
        with Checkpoints(folder) as checkpoints:
            assert not any("tmp" in name for name in names(folder))
            snapshot = checkpoints.restore(draw_many(0))
        assert int(first) == durable + 1  # it resumed from the last step of the process before
        # All but the last save are certain to be on disk, because each waits for the one before.
        assert snapshot is not None and last - 1 <= snapshot.step <= last + 1
        durable = snapshot.step
        assert snapshot.content == {"step": durable}
        assert_same(snapshot.arrays, draw_many(durable))
    return num_unfinished


@pytest.mark.slow
def test_a_run_killed_at_any_moment_goes_on_from_a_whole_checkpoint(tmp_path):
    kill_and_go_on(tmp_path / "run", 3, random.Random(0))


@pytest.mark.slow
def test_many_runs_killed_at_any_moment_go_on_from_a_whole_checkpoint(tmp_path):
    assert kill_and_go_on(tmp_path / "run", 40, random.Random(1)) > 10


def test_what_a_killed_process_left_unfinished_is_removed(tmp_path):
    save(tmp_path, 3)
    shutil.copytree(tmp_path / "3", tmp_path / "4.orbax-checkpoint-tmp")
    shutil.copytree(tmp_path / "3", tmp_path / "5.orbax-checkpoint-tmp-1700000000")
    assert_is(restore(tmp_path), 3)
    assert names(tmp_path) == ["3"]


# Disks.


@pytest.fixture
def small_disk(tmp_path):
    """A real file system that has room for a few checkpoints."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to be root to mount a small disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_an_error_and_earlier_checkpoints_are_kept(small_disk, capfd):
    folder, ballast = small_disk / "run", small_disk / "ballast"
    save(folder, 1, 2)
    with Checkpoints(folder) as checkpoints:
        room = shutil.disk_usage(folder).free
        for left in (0, 8192, 65536):
            ballast.write_bytes(bytes(room - left))
            message = rf"cannot write a checkpoint to {folder}: .* MB are free\. Those before are"
            with pytest.raises(OSError, match=message):
                checkpoints.save(3, draw(3), {})
            ballast.unlink()
        assert names(folder) == ["1", "2"]
        ballast.write_bytes(bytes(room))
        assert_is(checkpoints.restore(draw(0)), 2)
    assert_is(restore(folder), 2)  # also when opened anew without any room
    ballast.unlink()
    save(folder, 3)
    assert names(folder) == ["2", "3"]
    assert_is(restore(folder), 3)
    assert capfd.readouterr().err == ""


# The errors are printed on stdout: on stderr TensorStore's threads print between their words.
FULL_DISK = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def let_files_grow(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    try:
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(1, draw(1), {})
            checkpoints.wait()
            for next_call in (
                lambda: checkpoints.save(3, draw(3), {}),
                lambda: checkpoints.save_named("name", 3, draw(3), {}),
                lambda: checkpoints.restore(draw(0)),
                checkpoints.wait,
            ):
                let_files_grow(100_000)  # as on a disk that gets full halfway through the arrays
                checkpoints.save(2, draw(2), {})
                try:
                    next_call()
                except OSError as error:
                    print(error)
                let_files_grow(resource.RLIM_INFINITY)
            checkpoints.save(4, draw(4), {})
            checkpoints.wait()
            let_files_grow(100_000)
            checkpoints.save(5, draw(5), {})
    except OSError as error:  # of `close`
        print(error)
"""


@pytest.mark.slow
def test_a_write_that_fails_midway_is_an_error_of_the_next_call(tmp_path):
    output, errors = start(FULL_DISK, tmp_path).communicate()
    message = f"cannot write a checkpoint to {tmp_path}: ValueError: "
    fix = "File too large. Those before are kept; make room and resume the run."
    lines = output.splitlines()
    assert len(lines) == 5
    assert all(line.startswith(message) and line.endswith(fix) for line in lines)
    assert "ERROR:absl" not in errors
    with Checkpoints(tmp_path) as checkpoints:
        assert names(tmp_path) == ["1", "4"]
        snapshot = checkpoints.restore(draw_many(0))
    assert snapshot is not None and snapshot.step == 4
    assert_same(snapshot.arrays, draw_many(4))


FULL_DISK_AFTER_AN_ERROR = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(2, draw(2), {})
            raise OSError("the record cannot be written")
    except OSError as error:
        print(error, *error.__notes__, sep="\\n")
"""


@pytest.mark.slow
def test_an_error_of_the_last_write_does_not_hide_the_one_before(tmp_path):
    output, _ = start(FULL_DISK_AFTER_AN_ERROR, tmp_path).communicate()
    first, note = output.splitlines()
    assert first == "the record cannot be written"
    assert note.startswith(f"cannot write a checkpoint to {tmp_path}: ")


def test_a_folder_that_is_gone_is_an_error_and_nothing_waits_for_it(tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, draw(1), {})
        checkpoints.wait()
        folder.rename(elsewhere)
        with pytest.raises(OSError, match=f"cannot write a checkpoint to {folder}: FileNotFound"):
            checkpoints.save(2, draw(2), {})
        folder.write_text("where the folder was")
        with pytest.raises(OSError, match=f"cannot write a checkpoint to {folder}: NotADirectory"):
            checkpoints.save(2, draw(2), {})
        folder.unlink()
        elsewhere.rename(folder)
        checkpoints.save(2, draw(2), {})
    assert restore(folder).step == 2


def test_content_that_is_not_json_is_refused_before_anything_is_written(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(TypeError, match="not JSON serializable"):
            checkpoints.save(1, draw(1), {"row": np.float32(1)})
        assert saved_steps(tmp_path) == []
    assert names(tmp_path) == []
