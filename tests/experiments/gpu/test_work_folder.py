"""Stages are done by size and status; the archive has the results and nothing else."""

import tarfile

from work_folder import WorkFolder


def test_only_what_ended_well_at_this_size_is_done(tmp_path):
    folder = WorkFolder(tmp_path / "work", None)
    assert folder.done("full") == set()
    for stage, size, status in (
        ("order", "smoke", 0), ("speedrun", "full", None), ("growth", "full", 1),
        ("throughput", "full", 1), ("throughput", "full", 0),
    ):  # fmt: skip
        folder.add(stage=stage, size=size, status=status)
    assert WorkFolder(tmp_path / "work", None).done("full") == {"throughput"}
    folder.pack()
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_archive_has_records_reports_and_logs_but_no_checkpoints(tmp_path):
    archive = tmp_path / "out" / "results.tar.gz"
    folder = WorkFolder(tmp_path / "work", archive)
    folder.add(stage="order", size="smoke", status=0)
    wanted = {
        "logs/order.txt", "study/study.json", "study/accuracy.png", "study/records/a.jsonl",
        "throughput/resnet18/gpu.jsonl",
    }  # fmt: skip
    for name in {*wanted, "study/records/a/100/state/data.json", "study/records/a/100/ocdbt"}:
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for _ in range(2):  # the second replaces the first
        folder.pack()
        with tarfile.open(archive) as packed:
            assert set(packed.getnames()) == {*wanted, "stages.jsonl"}
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
