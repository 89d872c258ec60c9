"""Wrong command lines: each is answered in words before anything compiles or is written."""

import os
import stat

import pytest

from jaxsched.cli import main

CONFIG = """
import jaxsched as js
from jaxsched.data import Digits, Subset
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

lr = js.OneCycle(0.1, duration=2)
experiment = Experiment(
    name="tiny",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Subset(Digits(), num_train=64),
    ),
    phases=(js.Phase(epochs=2, batch_size=16),),
    optimizer=js.SGD(lr, momentum=lr.momentum()),
    num_devices=1,
)
"""
STUDY = (
    CONFIG.replace("experiment =", "one =")
    + """
from jaxsched.bench import Study

study = Study(name="few", experiments=(one,), seeds=(0,), target=0.9)
"""
)
LONG = "x" * 260


def changed(old, new, text=CONFIG):
    assert old in text
    return text.replace(old, new).encode()


# Every file that a command line below may name.
FILES = {
    "ok.py": CONFIG.encode(),
    "study.py": STUDY.encode(),
    "seeds.py": changed("seeds=(0,)", "seeds=5", STUDY),
    "sizes.py": STUDY.encode() + b"\nsizes = [study]\n",
    "binary.py": bytes(range(256)),
    "utf16.py": CONFIG.encode("utf-16"),
    "utf16le.py": CONFIG.encode("utf-16-le"),
    "latin.py": CONFIG.encode() + "# é".encode("latin-1"),
    "coding.py": b"# coding: klingon\n" + CONFIG.encode(),
    "syntax.py": b"experiment = (",
    "exits.py": b"import sys; sys.exit('no')",
    "empty.py": b"",
    "notes.txt": b"",
    "phase.py": changed("(js.Phase(epochs=2, batch_size=16),)", "(2, 16)"),
    "optax.py": changed("js.SGD(lr, momentum=lr.momentum())", "__import__('optax').sgd"),
    "data.py": changed("Subset(Digits(), num_train=64)", "'digits'"),
    "raises.py": changed("js.SGD(lr, momentum=lr.momentum())", "js.SGD(lambda epoch: 1 / 0)"),
    "warm.py": changed("js.SGD(lr,", "js.SGD(js.Warmup(js.Constant(0.1), duration=934),"),
    "shape.py": changed("js.SGD(lr,", "js.SGD(lambda epoch: (1, 2),"),
    "factory.py": changed(
        "js.SGD(lr, momentum=lr.momentum())", "js.FromOptax(__import__('optax').sgd, {'lr': 1.0})"
    ),
    "part.py": changed("num_train=64", "num_train=2.5"),
    "train/tiny-0-seed0.jsonl": b"",
    "afile": b"",
}
TRAIN = "train ok.py"
CASES = [
    # The command itself.
    ("trian ok.py", "no command 'trian'; did you mean `jaxsched train`?"),
    ("range_test ok.py", "did you mean `jaxsched range-test`?"),
    ("ok.py", "did you mean `jaxsched train ok.py`?"),
    ("--versoin", "did you mean `jaxsched --version`?"),
    ("nonsense", "The commands are train, bench,"),
    ("train", "CONFIG A Python file that holds an Experiment"),
    ("train ok.py --profle 1 2", "--profile"),
    ("bench study.py --shrd 1/2", "--shard"),
    # The order of options and config.
    ("train --seed 1 ok.py --phases.0.epochs 0", "Phase needs", "epochs=0"),
    ("grid --seeds 0 1 ok.py --epochs 0 --lr 0.1", "Grid needs epochs above 0"),
    ("train --seed 1", "needs its config file", "write `jaxsched train CONFIG --seed …`"),
    ("recipe --output study.py ok.py", "study.py already exists", "--overwrite"),
    ("grid --workdir x.py --epochs 0 ok.py --lr 0.1", "Grid needs epochs above 0"),
    ("train --seed 1 ok.py study.py", "needs its config file", "in front of its options"),
    ("train ok.py --optimzer.lr.peak 1", "Perhaps you meant", "--optimizer.lr.peak FLOAT"),
    ("train ok.py --optimizer.lr.peek 1", "Perhaps you meant", "--optimizer.lr.peak FLOAT"),
    ("train ok.py --model.widht 1", "--model.width INT"),
    ("train ok.py other.py", "Unrecognized options: other.py"),
    ("report study.py", "expected a study's folder", "got study.py"),
    # The config file.
    ("train no.py", "got no.py, which does not exist"),
    ("train folder", "got folder, which is a folder; name a .py file"),
    ("train notes.txt", "ending in .py"),
    ("train binary.py", "Python file in UTF-8, got binary.py"),
    ("train utf16.py", "Python file in UTF-8, got utf16.py"),
    ("train utf16le.py", "Python file in UTF-8, got utf16le.py"),
    ("train latin.py", "Python file in UTF-8, got latin.py"),
    ("bench binary.py", "Python file in UTF-8, got binary.py"),
    ("train coding.py", "got coding.py", "klingon"),
    ("train syntax.py", "syntax.py, line 1: SyntaxError"),
    ("train exits.py", "exits.py, line 1: SystemExit: no"),
    ("train empty.py", "must hold an Experiment under the name 'experiment', found no such name"),
    ("train study.py", "run its 'study' by `jaxsched bench study.py`"),
    ("grid study.py --lr 0.1", "run its 'study' by `jaxsched bench study.py`"),
    ("bench ok.py", "run its 'experiment' by `jaxsched train ok.py`"),
    ("bench sizes.py", "sizes of a study as a dict, found a list"),
    ("bench study.py --size big", "has only one size, got --size big"),
    # Wrong types in it.
    (
        "train phase.py",
        "phase.py, line 9: ValueError: Experiment needs phases.0 as a Phase",
        "give",
    ),
    ("train optax.py", "Experiment needs optimizer as a spec such as js.SGD(0.1", "call it, or"),
    ("train data.py", "ImageClassification needs data as a Source, got 'digits'", "Digits(…)"),
    ("train part.py", "num_train", "2.5"),
    ("bench seeds.py", "Study needs seeds as a tuple of whole numbers, got 5; write seeds=(5,)"),
    # Functions in it.
    (
        "train raises.py",
        "the schedule lr cannot be computed: ZeroDivisionError",
        "correct Function(",
    ),
    ("grid raises.py --lr 0.1", "the schedule lr cannot be computed: ZeroDivisionError"),
    ("plot shape.py", "the schedule lr cannot be computed"),
    ("train factory.py", "FromOptax needs a factory", "missing a required argument"),
    # Values of the experiment.
    (f"{TRAIN} --phases.0.epochs inf", "finite epochs above 0", "epochs=inf"),
    (f"{TRAIN} --phases.0.epochs nan", "epochs above 0", "epochs=nan"),
    (f"{TRAIN} --phases.0.batch-size 2.5", "--phases.0.batch-size INT"),
    (f"{TRAIN} --phases.0.batch-size 65", "no larger than the training set"),
    (f"{TRAIN} --seed -1", "seed within [0, 2**31), got -1"),
    (f"{TRAIN} --seed 2.5", "--seed INT"),
    (f"{TRAIN} --evaluate-every 0", "evaluate_every above 0 epochs"),
    (f"{TRAIN} --evaluate-every 1e-9", "evaluate_every of at least one example"),
    (f"{TRAIN} --name ..", "a name of letters", "not of dots alone"),
    (f"{TRAIN} --name a/b", "a name of letters, digits"),
    (f"{TRAIN} --name {LONG}", "at most 200 bytes"),
    (f"{TRAIN} --optimizer.lr.duration xyz", "expected a time", "got 'xyz'"),
    (f"{TRAIN} --optimizer.lr.peak -1", "SGD needs lr to be", "at least 0"),
    (f"{TRAIN} --optimizer.lr.peak nan", "OneCycle needs a finite number as peak, got nan"),
    (f"{TRAIN} --optimizer.lr.duration inf", "finite number as duration, got inf"),
    (f"{TRAIN} --optimizer.momentum.high 1.5", "SGD needs momentum to be from 0 to", "got 1.5"),
    (f"{TRAIN} --optimizer.weight-decay.value -1", "SGD needs weight_decay to be", "got -1"),
    (f"{TRAIN} --phases.0.epochs 1e30", "Plan needs at most 2**31 - 2 updates"),
    ("train warm.py", "a warm-up must end within the run, which is 2 epochs long"),
    # Options of train.
    (
        f"{TRAIN} --resume --overwrite",
        "--resume goes on with a run and --overwrite starts it again",
    ),
    (f"{TRAIN} --profile 110 100", "a first update and a later one to stop before, got 110 100"),
    (f"{TRAIN} --profile 8 9", "first update within 0 … 7, which the run makes, got 8 9"),
    (f"{TRAIN} --checkpoint-minutes -5", "a time of at least 0 minutes, got -5"),
    (f"{TRAIN} --checkpoint-minutes=nan", "a time of at least 0 minutes, got nan"),
    (f"{TRAIN} --read-workers -1", "--read-workers needs a number of at least 0"),
    (f"{TRAIN} --num-devices 3", "batch_size=16, devices=3; use 15 or 18"),
    (f"{TRAIN} --num-devices 99", "num_devices must be within 1 … 4"),
    (f"{TRAIN} --workdir afile", "cannot write to the folder afile", "afile is a file"),
    (f"{TRAIN} --workdir afile/below", "afile is a file; name another folder"),
    (f"{TRAIN} --workdir /proc/nothing", "/proc/nothing: No such file or directory; "),
    (f"{TRAIN} --workdir {LONG}", "File name too long; "),
    (f"{TRAIN} --start-from nowhere", "nowhere: expected the folder of a checkpoint, got none"),
    # Several processes.
    (f"{TRAIN} --processes 2", "need --coordinator HOST:PORT"),
    (f"{TRAIN} --process-id 0 --distributed", "need --coordinator HOST:PORT"),
    (f"{TRAIN} --coordinator localhost", "coordinator as HOST:PORT", "got 'localhost'"),
    (f"{TRAIN} --coordinator localhost:port", "coordinator as HOST:PORT"),
    (f"{TRAIN} --coordinator localhost:99999", "a port within 1 … 65535"),
    (f"{TRAIN} --coordinator http://localhost:80", "coordinator as HOST:PORT"),
    (
        f"{TRAIN} --coordinator no.such.host.invalid:80 --processes 2 --process-id 1",
        "cannot find the coordinator's host 'no.such.host.invalid'",
    ),
    (
        f"{TRAIN} --coordinator localhost:80 --processes 2 --process-id 2",
        "a --process-id within 0 … 1 for --processes 2, got 2",
    ),
    (f"{TRAIN} --coordinator localhost:80 --processes 0 --process-id 0", "at least one process"),
    # The other commands.
    ("bench study.py --checkpoint-minutes -1", "a time of at least 0 minutes, got -1"),
    ("bench study.py --shard 2.5/3", "form NUMBER/COUNT"),
    ("bench study.py --on ray --shard 1/2", "every run as a task of its own, got --shard"),
    ("bench study.py --workdir afile", "afile is a file; name another folder"),
    ("report", "needs at least one folder"),
    ("report folder", "got folder; `jaxsched bench` writes one"),
    ("report train", "expected records of runs that have begun in train, got none"),
    ("report train/none.jsonl", "got train/none.jsonl, which does not exist"),
    ("report folder --output afile", "afile is a file; name another folder"),
    ("plot", "required", "CONFIG"),
    ("plot ok.py no.py", "got no.py, which does not exist"),
    ("plot ok.py --output /nope/x.png", "there is no folder /nope; make it, or name another"),
    ("plot ok.py --output x.foo", "ending in .png, .svg", "got x.foo; name it x.foo.png"),
    ("plot ok.py --output x", "got x; name it x.png"),
    ("plot ok.py --output shots.png", "cannot write shots.png: it is a folder"),
    ("diagnose ok.py --epochs -1", "epochs above 0"),
    ("diagnose ok.py --epochs inf", "finite epochs"),
    ("diagnose ok.py --workdir afile", "afile is a file; name another folder"),
    ("range-test ok.py --updates 2.5", "--updates INT"),
    ("range-test ok.py --updates 0", "at least 20 updates"),
    ("range-test ok.py --high inf", "low < high, within (0, inf)", "high=inf"),
    ("range-test ok.py --weight-decay 0.1 --dropout 0.1", "got both; run it once for each"),
    ("range-test ok.py --weight-decay 0.1 --momentum", "leave --momentum out"),
    ("range-test ok.py --weight-decay 0.1 0.1", "different values of weight_decay"),
    ("range-test ok.py --dropout 0.1", "dropout needs a network with a field of that name"),
    ("range-test ok.py --low nan", "low < high", "low=nan"),
    ("range-test ok.py --seeds -1", "seeds, at least one, within [0, 2**31), got (-1,)"),
    ("range-test ok.py --workdir afile", "afile is a file; name another folder"),
    ("grid ok.py", "at least one value of each axis"),
    ("grid ok.py --lr 0.1 --epochs nan", "epochs above 0"),
    ("grid ok.py --lr 0.1 --refine -1", "refine of at least 0"),
    ("grid ok.py --lr 0.1 --refine 1.5", "--refine INT"),
    ("grid ok.py --lr 0.1 --from-snapshot 0", "from_snapshot above 0 epochs"),
    ("grid ok.py --lr 0.1 -1", "SGD needs lr to be", "at least 0"),
    ("grid ok.py --weight-decay 0.1 -1", "SGD needs weight_decay to be", "got -1"),
    ("grid ok.py --momentum 0.9 1.5", "SGD needs momentum to be from 0 to", "got 1.5"),
    ("grid ok.py --batch-size 16 99", "no larger than the training set"),
    ("grid ok.py --batch-size 0", "batch_size of at least 1"),
    ("grid ok.py --dropout 0.5", "a network with a field of that name"),
    ("recipe ok.py --output /nope/x.py", "there is no folder /nope"),
    ("recipe ok.py --output x.txt", "ending in .py, got x.txt"),
    ("recipe ok.py --output study.py", "study.py already exists"),
    ("recipe ok.py --epochs 0", "epochs above 0"),
    ("recipe ok.py --refine -1", "refine of at least 0"),
    ("recipe ok.py --weight-decays -1", "SGD needs weight_decay to be", "got -1"),
    ("recipe ok.py --momenta 1.5", "momenta within [0.85, 1)"),
    ("recipe ok.py --updates 0", "at least 20 updates"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all the files, which no wrong command line changes."""
    path = tmp_path_factory.mktemp("lines")
    for name, content in FILES.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)
    (path / "folder").mkdir()
    (path / "shots.png").mkdir()
    return path


def answer(line, capsys):
    """The exit status and what is printed, without the terminal's frames and line ends."""
    with pytest.raises(SystemExit) as exit_:
        main(line.split())
    output = capsys.readouterr()
    text = " ".join((output.err + output.out).replace("│", " ").split())
    assert "Traceback" not in text
    return exit_.value.code, text


@pytest.mark.parametrize(("line", "words"), [(line, words) for line, *words in CASES])
def test_a_wrong_command_line_is_answered_before_anything_is_made(
    folder, monkeypatch, capsys, line, words
):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    status, text = answer(line, capsys)
    assert status == 2
    for part in words:
        assert part in text
    assert "compiling" not in text
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_files_that_may_not_be_used(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.py").write_bytes(FILES["ok.py"])
    (tmp_path / "closed").mkdir(mode=stat.S_IRUSR)
    status, text = answer("train ok.py --workdir closed/runs", capsys)
    assert status == 2 and "may not be written to; name another folder" in text
    (tmp_path / "ok.py").chmod(0)
    status, text = answer("train ok.py", capsys)
    assert status == 2 and "cannot read the config file ok.py" in text
