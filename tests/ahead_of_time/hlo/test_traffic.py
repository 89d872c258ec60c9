"""The bytes that programs of this machine's compiler move, against counts in closed form."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxsched.ahead_of_time.hlo.facts import read_program
from jaxsched.ahead_of_time.hlo.parse import parse_program
from jaxsched.ahead_of_time.hlo.traffic import traffic
from jaxsched.ahead_of_time.hlo.walk import walk


def traffic_of(function, *arguments, **options):
    compiled = jax.jit(function, **options).lower(*arguments).compile()
    return read_program(compiled.as_text()).traffic


def test_a_product_reads_and_writes_each_array_once():
    left, right = jnp.ones((256, 512)), jnp.ones((512, 128))
    assert traffic_of(jnp.dot, left, right) == 4 * (256 * 512 + 512 * 128 + 256 * 128)


def test_of_a_set_only_the_rows_that_are_taken_count():
    def rows(data, start):
        return lax.dynamic_slice_in_dim(data, start, 16) * 2.0

    data = jnp.ones((100_000, 64))
    # The rows twice: read and written. The start and a constant are a few bytes.
    assert 0 <= traffic_of(rows, data, 3) - 2 * 4 * 16 * 64 <= 16
    gathered = traffic_of(lambda data, index: data[index], data, jnp.arange(16))
    assert gathered < 10 * 4 * 16 * 64


def test_a_loop_counts_each_trip():
    def power(x):
        return lax.fori_loop(0, 50, lambda _, y: y @ x, x)

    x = jnp.ones((128, 128))
    # Each reads two arrays and writes one; a compiler may copy one to carry it on.
    array = 4 * 128**2
    assert 50 * 3 * array <= traffic_of(power, x) <= 51 * 5 * array


def test_what_stays_on_a_tpu_is_not_memory_traffic():
    # 8 × 1024 numbers take one tile of 8 × 128 eight times; 3 × 100 take a whole tile.
    text = """HloModule m, entry_computation_layout={()->f32[8,1024]{1,0:T(8,128)}}

ENTRY %main (x: f32[8,1024], y: f32[3,100]) -> f32[8,1024] {
  %x = f32[8,1024]{1,0:T(8,128)} parameter(0)
  %y = f32[3,100]{1,0:T(4,128)} parameter(1)
  %copy-start = (f32[8,1024]{1,0:T(8,128)S(1)}, f32[8,1024]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %copy-done = f32[8,1024]{1,0:T(8,128)S(1)} copy-done(%copy-start)
  %inside = f32[8,1024]{1,0:T(8,128)S(1)} negate(%copy-done)
  %other = f32[3,100]{1,0:T(4,128)S(1)} negate(%y)
  ROOT %out = f32[8,1024]{1,0:T(8,128)} exponential(%inside)
}
"""  # noqa: E501
    program = parse_program(text)
    read_x, read_y, write = 4 * 8 * 1024, 4 * 4 * 128, 4 * 8 * 1024
    assert traffic(program, walk(program)) == read_x + read_y + write
