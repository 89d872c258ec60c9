"""The script against a stand-in for gcloud that knows which slices there are."""

import signal
import sys

import pytest

CONFIG = "configs/digits_one_cycle.py"
# Fails at the call that FAIL names; waits in the one that WAIT names.
GCLOUD = """
slice="$CLUSTER/slice-$5"
[[ "$*" != *"${FAIL:-never}"* ]] || exit 1
case $4 in
  create) [[ ! -e $slice ]] || exit 1; touch "$slice" ;;
  delete) rm "$slice" ;;
esac
if [[ "$*" == *"${WAIT:-never}"* ]]; then echo $$ > "$CLUSTER/waiting"; exec sleep 20; fi
"""


@pytest.fixture
def pod(cluster):
    cluster.command("gcloud", GCLOUD)
    cluster.environment["PYTHON"] = "true"  # the check of the options is a test of its own
    return cluster


def verbs(pod):
    return [call[3] for call in pod.calls()]


def slices(pod):
    return [path.name for path in pod.folder.glob("slice-*")]


def test_a_run_from_creation_to_deletion(pod):
    code, errors = pod.run(
        "tpu_pod.sh", CONFIG, "--optimizer.lr.peak", "0.3", "--name", "it's two words",
        TPU_NAME="mine", TPU_ZONE="us-central1-a", TPU_SIZE="v6e-8", TPU_VERSION="v2-x",
    )  # fmt: skip
    assert code == 0, errors
    assert verbs(pod) == ["create", "scp", "ssh", "ssh", "scp", "delete"]
    calls = pod.calls()
    assert all("--zone=us-central1-a" in call for call in calls)
    assert calls[0][4:7] == ["mine", "--accelerator-type=v6e-8", "--version=v2-x"]
    (command,) = [text for text in calls[3] if text.startswith("--command=")]
    expected = f"'{CONFIG}' '--optimizer.lr.peak' '0.3' '--name' 'it'\\''s two words'"
    assert command == f"--command=.venv/bin/jaxsched train {expected} --distributed"
    assert calls[4][4:6] == ["mine:runs", "."]
    assert not slices(pod)


def test_a_second_start_leaves_the_slice_of_the_first_alone(pod):
    (pod.folder / "slice-jaxsched").touch()
    code, errors = pod.run("tpu_pod.sh", CONFIG)
    assert code == 1 and "nothing was deleted" in errors
    assert verbs(pod) == ["create"] and slices(pod) == ["slice-jaxsched"]


@pytest.mark.parametrize("fail", ["scp /", "uv venv", "jaxsched train", "jaxsched:runs"])
def test_whatever_fails_after_the_creation_it_is_deleted_once(pod, fail):
    code, _ = pod.run("tpu_pod.sh", CONFIG, FAIL=f" {fail}" if fail.startswith("scp") else fail)
    assert (code == 0) == (fail == "jaxsched:runs")  # the run itself went well
    assert verbs(pod).count("delete") == 1 and not slices(pod)


def test_a_deletion_that_fails_says_what_still_costs(pod):
    code, errors = pod.run("tpu_pod.sh", CONFIG, FAIL="vm delete")
    assert "MAY STILL RUN AND COST" in errors and slices(pod) == ["slice-jaxsched"]
    assert code == 0


@pytest.mark.parametrize(
    ("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, True)], ids=str
)
def test_a_signal_during_the_run_deletes_once(pod, number, whole_group):
    process = pod.start("tpu_pod.sh", CONFIG, WAIT="jaxsched train")
    code = pod.interrupt(process, number, "jaxsched train", whole_group=whole_group)
    assert code != 0
    assert verbs(pod)[-2:] == ["scp", "delete"]
    assert verbs(pod).count("delete") == 1 and not slices(pod)


def test_an_interrupted_creation_deletes_nothing(pod):
    process = pod.start("tpu_pod.sh", CONFIG, WAIT="vm create")
    assert pod.interrupt(process, signal.SIGINT, "create", whole_group=True) != 0
    assert verbs(pod) == ["create"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a config file first"),
        (("--seed", "1"), "give a config file first"),
        (("configs/no_such.py",), "configs/no_such.py is not in the commit HEAD"),
        ((CONFIG, "--workdir", "elsewhere"), "--workdir stays runs/train"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_paid_for(pod, arguments, message):
    code, errors = pod.run("tpu_pod.sh", *arguments)
    assert code == 2 and message in errors
    assert not pod.calls()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--sede", "1"), ("--phases.0.epochs", "-3")])
def test_wrong_options_are_refused_before_anything_is_paid_for(pod, arguments):
    code, errors = pod.run("tpu_pod.sh", CONFIG, *arguments, PYTHON=sys.executable)
    assert code != 0 and errors
    assert not pod.calls()
    code, errors = pod.run("tpu_pod.sh", CONFIG, "--seed", "1", PYTHON=sys.executable)
    assert code == 0 and pod.calls(), errors
