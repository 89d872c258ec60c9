"""`jaxsched check-data` on folders of real files, some of which are broken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsched.cli.main import main
from jaxsched.data import ImageFolder
from jaxsched.experiment import Experiment, load_value
from jaxsched.train import Program

DIGITS = Path(__file__).parents[2] / "configs" / "digits_one_cycle.py"
CONFIG = """
import jaxsched as js
from jaxsched.data import ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="folder",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=ImageFolder({folder!r}, image_size=8),
    ),
    phases=(js.Phase(epochs=1, batch_size=4),),
    optimizer=js.SGD(0.1),
)
"""


@pytest.fixture
def config(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for split, count in (("train", 20), ("val", 6)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number:02}.jpeg")
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(folder=str(tmp_path)))
    return path


def truncate(path):
    """Its header stays whole, so that only decoding finds it."""
    path.write_bytes(path.read_bytes()[:-200])


def test_every_broken_image_of_all_splits_is_listed(config, capsys):
    folder = config.parent
    truncate(folder / "train" / "cat" / "07.jpeg")
    truncate(folder / "val" / "dog" / "03.jpeg")
    (folder / "train" / "dog" / "00.jpeg").write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        main(["check-data", str(config)])
    assert ended.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    broken = ["train/cat/07.jpeg", "train/dog/00.jpeg", "val/dog/03.jpeg"]
    assert [line.split()[0] for line in lines if "cannot be read as an image" in line] == [
        str(folder / path) for path in broken
    ]
    assert "train: 40 images, 2 cannot be read" in lines
    assert "test: 12 images, 1 cannot be read" in lines


@pytest.mark.slow
def test_processes_find_the_same(config, capsys):
    truncate(config.parent / "val" / "dog" / "03.jpeg")
    with pytest.raises(SystemExit) as ended:
        main(["check-data", str(config), "--read-workers", "2"])
    assert ended.value.code == 1
    assert "test: 12 images, 1 cannot be read" in capsys.readouterr().out


def test_whole_images_and_data_in_memory_are_no_error(config, capsys):
    main(["check-data", str(config), "--data.image_size", "4"])
    assert "train: 40 images, 0 cannot be read" in capsys.readouterr().out
    main(["check-data", str(DIGITS)])
    assert "train: 1,493 images, 0 cannot be read" in capsys.readouterr().out


def test_a_broken_test_image_is_found_before_the_first_update(config):
    experiment = load_value(config, "experiment", Experiment)
    assert isinstance(experiment.task.data, ImageFolder)
    truncate(config.parent / "val" / "dog" / "03.jpeg")
    with pytest.raises(
        ValueError,
        match=r"1 of 12 examples to evaluate on cannot be read. The first: .*val/dog/03\.jpeg "
        r"cannot be read .*`jaxsched check-data CONFIG` lists all",
    ):
        Program(experiment, experiment.task.data.load())
