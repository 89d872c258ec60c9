"""Traces of some updates, in the format that XProf and Perfetto read."""

import gzip
import json

import pytest

from jaxsched.train import ProfiledUpdates, train


def events(folder):
    (path,) = folder.rglob("perfetto_trace.json.gz")
    return json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]


@pytest.mark.slow
def test_the_trace_begins_and_ends_with_the_chosen_updates(program, tmp_path):
    """A dispatch ends before update 3 and another one before update 5."""
    dispatched = []
    update = program.update

    class Watched:
        def __getattr__(self, name):
            return getattr(program, name)

        def update(self, *arguments, step, count, **named):
            dispatched.append((step, step + count))
            return update(*arguments, step=step, count=count, **named)

    with ProfiledUpdates(tmp_path, 3, 5) as profile:
        outcome = train(Watched(), 0, on_evaluation=lambda row: None, profile=profile)
    assert outcome.status == "finished"
    boundaries = {place for pair in dispatched for place in pair}
    assert {3, 5} <= boundaries
    names = {event.get("name", "") for event in events(tmp_path)}
    assert any("while" in name or "convolution" in name or "conv" in name for name in names)


def test_a_run_that_ends_inside_the_trace_still_writes_it(program, tmp_path):
    with ProfiledUpdates(tmp_path, 0, 10_000) as profile:
        train(program, 0, on_evaluation=lambda row: None, profile=profile)
    assert events(tmp_path)


@pytest.mark.parametrize(("first", "end"), [(5, 5), (7, 3), (-1, 3)])
def test_a_trace_without_updates_is_refused(tmp_path, first, end):
    with pytest.raises(ValueError, match=rf"got {first} {end}; 100 110 traces"):
        ProfiledUpdates(tmp_path, first, end)
