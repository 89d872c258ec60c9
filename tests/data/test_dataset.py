import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tyro

from jaxsched.data import (
    Cifar10,
    Cifar100,
    Digits,
    ImageDataset,
    ImageFolder,
    Images,
    RandomResizedCrop,
    Source,
    Streamed,
    StreamedTfds,
    Subset,
    Synthetic,
    Tfds,
    channel_statistics,
)
from jaxsched.data.split import last_of_each_class

SOURCES = [Digits(), Cifar10("here"), Cifar100("here", 0.1), Tfds("mnist"), Synthetic(seed=3)]


def images(count=4, shape=(2, 2, 1), label=0):
    return Images(np.zeros((count, *shape), np.uint8), np.full(count, label, np.int32))


@pytest.mark.parametrize(
    "source", [ImageFolder("here", crop=RandomResizedCrop()), StreamedTfds("mnist")], ids=repr
)
def test_sources_with_a_crop_print_as_code_and_are_set_from_a_command_line(source):
    assert eval(repr(source)) == source
    assert hash(eval(repr(source))) == hash(source)

    @dataclasses.dataclass(frozen=True)
    class Experiment:
        data: Source = source

    given = tyro.cli(Experiment, args=["--data.image-size", "32"])
    assert given.data == dataclasses.replace(source, image_size=32)


@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_sources_print_as_code_compare_hash_and_become_json(source):
    again = eval(repr(source))
    assert again == source
    assert hash(again) == hash(source)
    assert type(source)(**json.loads(json.dumps(dataclasses.asdict(source)))) == source


@pytest.mark.parametrize("source", SOURCES, ids=repr)
def test_sources_are_set_field_by_field_from_a_command_line(source):
    @dataclasses.dataclass(frozen=True)
    class Experiment:
        data: Source = source

    field = "seed" if isinstance(source, Synthetic) else "validation"
    given = tyro.cli(Experiment, args=[f"--data.{field}", "0"])
    assert given.data == dataclasses.replace(source, **{field: 0})


@pytest.mark.parametrize("share", [0.0, 0.1, 0.0123])
def test_the_number_of_training_examples_is_known_without_files(share):
    for kind, num_classes in ((Cifar10, 10), (Cifar100, 100)):
        kept = np.count_nonzero(~last_of_each_class(np.arange(50_000) % num_classes, share))
        source = kind("/nowhere", validation=share)
        assert source.known_num_train == Streamed(source).known_num_train == kept
    for source in (Subset(Digits(), 500), Synthetic(num_train=20)):
        assert source.known_num_train == len(source.load().train)


def test_statistics_against_numpy():
    given = np.random.default_rng(0).integers(0, 256, (1500, 5, 7, 3), dtype=np.uint8)
    mean, std = channel_statistics(given)
    np.testing.assert_allclose(mean, (given / 255.0).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (given / 255.0).std(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 3)), np.zeros(2, np.int32), r"float64\[2, 4, 4, 3\]"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int32), r"uint8\[2, 4, 4\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2), r"int32\[2\].*float64\[2\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3, np.int32), r"int32\[2\].*int32\[3\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, np.int32), "at least one image"),
    ],
)
def test_images_of_another_kind_are_refused(pixels, labels, message):
    with pytest.raises(ValueError, match=message):
        Images(pixels, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": images(shape=(3, 3, 1))}, r"one shape, got \[2, 2, 1\] in train and \[3, 3, 1\]"),
        ({"mean": (0.1, 0.2)}, "each of its 1 channels"),
        ({"std": (0.0,)}, "positive std"),
        ({"test": images(label=2)}, r"labels in 0 \.\.\. 1, got 2 \.\.\. 2 in test"),
        ({"train": images(label=-1)}, r"got -1 \.\.\. -1 in train"),
    ],
)
def test_a_dataset_whose_parts_do_not_fit_is_refused(changes, message):
    fitting = ImageDataset("some", images(), images(label=1), "test", ("a", "b"), (0.5,), (0.25,))
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(fitting, **changes)


def test_importing_data_loads_no_reader():
    code = (
        "import sys, jaxsched.data\n"
        "heavy = {'sklearn', 'tensorflow_datasets', 'tensorflow', 'PIL', 'flax', 'matplotlib'}\n"
        "print(*heavy & sys.modules.keys())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("\n", "")
