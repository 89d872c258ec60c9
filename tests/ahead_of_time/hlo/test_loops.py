"""Trip counts worked out from the counter, where the compiler does not say them."""

import operator

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxsched.ahead_of_time.hlo.facts import read_program

DIRECTIONS = {
    "LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge, "NE": operator.ne,
}  # fmt: skip
LOOP = """HloModule counting

%body (carry: (s32[], s32[])) -> (s32[], s32[]) {{
  %carry = (s32[], s32[]) parameter(0)
  %counter = s32[] get-tuple-element(%carry), index=0
  %bound = s32[] get-tuple-element(%carry), index=1
  %step = s32[] constant({step})
  %next = s32[] add(%counter, %step)
  ROOT %result = (s32[], s32[]) tuple(%next, %bound)
}}

%condition (carried: (s32[], s32[])) -> pred[] {{
  %carried = (s32[], s32[]) parameter(0)
  %left = s32[] get-tuple-element(%carried), index={left}
  %right = s32[] get-tuple-element(%carried), index={right}
  ROOT %compare = pred[] compare(%left, %right), direction={direction}
}}

ENTRY %main () -> (s32[], s32[]) {{
  %first = s32[] constant({first})
  %copied = s32[] copy(%first)
  %last = s32[] constant({last})
  %start = (s32[], s32[]) tuple(%copied, %last)
  ROOT %while = (s32[], s32[]) while(%start), condition=%condition, body=%body
}}
"""


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("first", "step", "last", "direction"),
    [
        (0, 1, 5, "LT"),
        (3, 4, 12, "LT"),
        (3, 3, 12, "LE"),
        (9, -2, 2, "GT"),
        (9, -2, -1, "GE"),
        (1, 3, 13, "NE"),
        (7, 1, 7, "LT"),
    ],
)
def test_trips_are_those_of_running_the_loop(first, step, last, direction, swapped):
    trips, counter = 0, first
    while DIRECTIONS[direction](counter, last):
        trips, counter = trips + 1, counter + step
    sides = {"left": int(swapped), "right": int(not swapped)}
    if swapped:
        direction = direction.translate(str.maketrans("LG", "GL"))
    text = LOOP.format(first=first, step=step, last=last, direction=direction, **sides)
    assert read_program(text).loops[0].trips == trips


@pytest.mark.parametrize(
    ("step", "direction"),
    [(-1, "LT"), (1, "GT"), (3, "NE"), (0, "LT"), (1, "EQ")],
)
def test_a_loop_that_need_not_end_has_no_trip_count(step, direction):
    text = LOOP.format(first=0, step=step, last=5, direction=direction, left=0, right=1)
    if direction == "GT":
        text = text.replace("constant(5)", "constant(-5)")
    assert read_program(text).loops[0].trips is None


def test_nested_counters_agree_with_what_the_compiler_knows():
    def count(values):
        def outer(index, values):
            # The inner loop does not start at 0, and its counter is used.
            return lax.fori_loop(2, 11, lambda inner, v: jnp.sin(v) * inner + index, values)

        return lax.fori_loop(0, 4, outer, values)

    text = jax.jit(count).lower(jnp.ones(3)).compile().as_text()
    assert text.count("known_trip_count") == 2
    hidden = text.replace("known_trip_count", "not_told")
    assert [loop.trips for loop in read_program(hidden).loops] == [4, 9]
    assert [loop.trips for loop in read_program(text).loops] == [4, 9]


def test_the_counter_of_an_outer_loop_gives_no_inner_trip_count():
    def triangle(values):
        def outer(index, values):
            values = lax.fori_loop(0, index, lambda _, v: jnp.sin(v), values)

            # Not to be run: it ends at once or never.
            def is_unfinished(_):
                return index < 5

            return values + lax.while_loop(is_unfinished, lambda count: count + 1, 0)

        return lax.fori_loop(0, 4, outer, values)

    text = jax.jit(triangle).lower(jnp.ones(3)).compile().as_text()
    assert [loop.trips for loop in read_program(text).loops] == [4, None, None]
