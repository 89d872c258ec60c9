"""Studies on a real local Ray cluster, of which parts are killed, and on submitit's executor."""

import json
import time

import pytest

from jaxsched.bench import RECORDS_FOLDER, load_study, run_study
from jaxsched.bench.study.engines.engine import on_engine
from jaxsched.bench.study.engines.task import RunTask, StudyFile
from jaxsched.tracking import Progress

STUDY = """
import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

cosine = Experiment(
    name="cosine",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32, num_classes=4),
        augment=Augment(pad=0, flip=False),
    ),
    phases=(js.Phase(epochs=300, batch_size=16),),
    optimizer=js.SGD(js.Cosine(0.05, duration="100%"), momentum=0.9),
    num_devices=1,
)
study = Study(name="spread", experiments=(cosine,), seeds=(0, 1, 2), target=0.5)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "spread.py"
    path.write_text(STUDY)
    return path


def entries(folder):
    """The evaluations of each record, without what differs between runs."""
    differ = {
        "train_seconds", "evaluation_seconds", "images_per_second", "peak_memory", "compilations",
        "crc32",
    }  # fmt: skip
    return {
        path.name: [
            {k: v for k, v in json.loads(line).items() if k not in differ}
            for line in path.read_text().splitlines()[1:]
        ]
        for path in sorted((folder / RECORDS_FOLDER).glob("*.jsonl"))
    }


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """The records that one process makes."""
    folder = tmp_path_factory.mktemp("whole")
    with Progress() as progress:
        run_study(load_study(file), folder / RECORDS_FOLDER, source_text=STUDY, progress=progress)
    return entries(folder)


def make(engine, file, folder, say=print):
    (folder / RECORDS_FOLDER).mkdir(parents=True, exist_ok=True)
    study = load_study(file)
    on_engine(engine, study, StudyFile(file), folder, every_seconds=0.2, log=(), say=say)


def test_a_node_that_does_not_see_the_folder_is_refused(file, tmp_path):
    task = RunTask(StudyFile(file), tmp_path, "token", "cosine", 0, 1, 1.0)
    with pytest.raises(FileNotFoundError, match="all nodes share"):
        task()


@pytest.mark.slow
def test_submitit_makes_the_same_records(file, whole, tmp_path):
    pytest.importorskip("submitit")
    from functools import partial

    from jaxsched.bench.study.engines.on_slurm import run_on_slurm

    make(partial(run_on_slurm, cluster="local"), file, tmp_path)
    assert entries(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray leaves sockets open
def test_ray_makes_the_same_records_after_a_worker_and_a_node_are_killed(file, whole, tmp_path):
    ray = pytest.importorskip("ray")
    import threading

    from ray.cluster_utils import Cluster

    from jaxsched.bench.study.engines.on_ray import run_on_ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    killed = []

    def kill():
        """A worker process once a run has a checkpoint, and then the second node."""
        import psutil

        records = tmp_path / RECORDS_FOLDER
        while not any(found.is_dir() and any(found.iterdir()) for found in records.glob("*")):
            time.sleep(0.05)
        me = psutil.Process()
        workers = [
            p
            for p in me.children(recursive=True)
            if "ray::_make" in p.name() or any("ray::_make" in a for a in p.cmdline())
        ]
        workers[0].kill()
        killed.append("worker")
        time.sleep(2)
        cluster.remove_node(second, allow_graceful=False)
        killed.append("node")

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        make(run_on_ray, file, tmp_path)
        killer.join(60)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed == ["worker", "node"]
    assert entries(tmp_path) == whole
