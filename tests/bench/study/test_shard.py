"""Shards of a study: together they are all of it, and none costs much more than the others."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsched.bench import Shard

COSTS = st.lists(st.integers(1, 100), min_size=1, max_size=12)


@given(COSTS, st.integers(1, 5))
def test_each_run_is_in_one_part_and_in_order(costs, count):
    runs = list(range(len(costs)))
    parts = [Shard(k, count).select(runs, costs) for k in range(1, count + 1)]
    assert sorted(itertools.chain(*parts)) == runs
    assert all(part == sorted(part) for part in parts)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(2, 3))
def test_no_part_costs_more_than_a_third_above_the_best_division(costs, count):
    parts = [Shard(k, count).select(costs, costs) for k in range(1, count + 1)]
    best = min(
        max(sum(c for c, w in zip(costs, where, strict=True) if w == k) for k in range(count))
        for where in itertools.product(range(count), repeat=len(costs))
    )
    assert max(map(sum, parts)) <= (4 / 3 - 1 / (3 * count)) * best + 1e-9


@pytest.mark.parametrize("text", ["", "3", "a/b", "1/2/3", "-1/4", "1.5/2", "3 / 16"])
def test_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="needs the form NUMBER/COUNT, such as 3/16"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/4", "5/4", "0/0", "1/0"])
def test_impossible_parts_are_refused(text):
    with pytest.raises(ValueError, match=rf"a number from 1 to their count, .* got {text}"):
        Shard.parse(text)
