"""The run of a diagnosis, which one process makes at a time."""

import pytest

from jaxsched.tracking import RecordWriter, claim_record, plan_for, record_path
from jaxsched.tune import diagnose, diagnosis_experiment


@pytest.fixture
def short(experiment):
    return diagnosis_experiment(experiment, plan_for(experiment))


def test_a_run_that_another_process_makes_is_left_to_it(short, tmp_path, progress):
    path = record_path(tmp_path, short, short.seed)
    with claim_record(path), pytest.raises(BlockingIOError, match=f"writes {path}; wait for it"):
        diagnose(short, tmp_path, source_text="", progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_of_other_data_is_refused(short, tmp_path, progress, lines):
    data = {**short.task.data.load().fingerprint, "classes": 5}
    with RecordWriter(record_path(tmp_path, short, short.seed), lines.header(data=data)) as writer:
        writer.evaluation(lines.row(1))
        writer.end(status="stopped", reason="the trend is known")
    with pytest.raises(ValueError, match="made with other data: classes: 5 -> 4"):
        diagnose(short, tmp_path, source_text="", progress=progress)
