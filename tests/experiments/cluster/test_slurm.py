"""The script against stand-ins for srun and scontrol."""

import signal

import pytest

CONFIG = "configs/digits_one_cycle.py"


@pytest.fixture
def slurm(cluster):
    wait = 'if [[ -n $WAIT ]]; then echo $$ > "$CLUSTER/waiting"; sleep 1; fi'
    cluster.command("srun", f'echo "$SRUN_CPUS_PER_TASK" > "$CLUSTER/cores"; {wait}; exit $STATUS')
    cluster.command("scontrol", "")
    cluster.environment |= {"SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_ID": "77", "STATUS": "0"}
    cluster.environment.pop("SLURM_RESTART_COUNT", None)
    return cluster


TRAIN = [".venv/bin/jaxsched", "train", CONFIG, "--name", "two words", "--distributed"]


def test_a_run_that_ends_is_not_put_back(slurm):
    code, errors = slurm.run("slurm.sh", CONFIG, "--name", "two words")
    assert (code, errors) == (0, "")
    assert slurm.calls() == [TRAIN]
    assert (slurm.folder / "cores").read_text() == "8\n"


def test_a_run_that_was_saved_is_put_back_and_goes_on(slurm):
    code, _ = slurm.run("slurm.sh", CONFIG, "--name", "two words", STATUS="143")
    assert code == 143
    assert slurm.calls() == [TRAIN, ["requeue", "77"]]
    slurm.run("slurm.sh", CONFIG, "--name", "two words", SLURM_RESTART_COUNT="1")
    assert slurm.calls()[2:] == [[*TRAIN, "--resume"]]


@pytest.mark.parametrize("status", ["1", "2", "130", "137"])
def test_a_run_that_failed_is_not_put_back(slurm, status):
    code, _ = slurm.run("slurm.sh", CONFIG, STATUS=status)
    assert code == int(status)
    assert len(slurm.calls()) == 1


def test_a_job_that_is_cancelled_is_not_put_back(slurm):
    """Slurm then signals the script as well."""
    process = slurm.start("slurm.sh", CONFIG, STATUS="143", WAIT="yes")
    code = slurm.interrupt(process, signal.SIGTERM, "train", whole_group=False)
    assert code == 143
    assert len(slurm.calls()) == 1


@pytest.mark.parametrize("arguments", [(), ("no_such.py",), ("--seed", "1")])
def test_a_config_that_is_not_there_is_refused(slurm, arguments):
    code, errors = slurm.run("slurm.sh", *arguments)
    assert code == 2 and "expected CONFIG [OPTIONS]" in errors
    assert not slurm.calls()
