"""Programs that this machine's compiler makes, against counts in closed form."""

import ast
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxsched.ahead_of_time.hlo as package
from jaxsched.ahead_of_time.hlo.facts import read_program

LABELS = ("NHWC", "HWIO", "NHWC")


def facts_of(function, *arguments, **options):
    return read_program(jax.jit(function, **options).lower(*arguments).compile().as_text())


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (1, 1), "padding": "SAME"},
        {"window_strides": (2, 3), "padding": "VALID"},
        {"window_strides": (2, 2), "padding": ((0, 1), (2, 0)), "rhs_dilation": (2, 1)},
        {"window_strides": (1, 1), "padding": ((2, 2), (1, 1)), "lhs_dilation": (2, 3)},
        {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 4},
    ],
)
def test_flops_of_a_convolution_count_the_terms_inside_the_image(options):
    channels = 8 // options.get("feature_group_count", 1)
    images, kernel = jnp.ones((2, 9, 11, 8)), jnp.ones((3, 3, channels, 16))
    convolve = partial(lax.conv_general_dilated, dimension_numbers=LABELS, **options)
    # A convolution of ones with ones adds up ones, so it counts its own terms.
    terms = convolve(images, kernel).sum()
    assert facts_of(convolve, images, kernel).flops == 2 * terms


def test_flops_of_a_scan_of_convolutions_are_multiplied_out():
    def network(images, kernels):
        convolve = partial(
            lax.conv_general_dilated,
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=LABELS,
        )

        def layer(images, kernel):
            return jnp.pad(convolve(images, kernel), ((0, 0), (1, 1), (1, 1), (0, 0))), None

        return lax.scan(layer, images, kernels)[0]

    facts = facts_of(network, jnp.ones((4, 10, 10, 16)), jnp.ones((7, 3, 3, 16, 16)))
    assert facts.flops == 7 * 2 * (4 * 8 * 8 * 16) * (3 * 3 * 16)
    assert [loop.trips for loop in facts.loops] == [7]
    assert facts.unknown_loops == ()
    assert all(product.is_convolution for product in facts.products)


def test_flops_of_batched_products():
    facts = facts_of(partial(jnp.einsum, "bij,bjk->bik"), jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6)))
    assert facts.flops == 2 * 3 * 4 * 5 * 6


def test_a_loop_of_unknown_length_counts_as_one_trip_and_is_named():
    def power(matrix, count):
        # The inner loop's length is known, the outer one's is an argument.
        def twice(_, product):
            return lax.fori_loop(0, 2, lambda _, product: product @ matrix, product)

        return lax.fori_loop(0, count, twice, matrix)

    facts = facts_of(power, jnp.ones((8, 8)), jnp.int32(5))
    assert facts.flops == 2 * 2 * 8**3
    assert [loop.op_name for loop in facts.unknown_loops] == ["jit(power)/while"]


def test_reductions_over_four_devices_have_the_bytes_of_what_they_take():
    mesh = Mesh(np.array(jax.devices()[:4]), ("chip",))

    @partial(jax.shard_map, mesh=mesh, in_specs=P("chip"), out_specs=P())
    def total(rows):
        def add(sums, row):
            return sums + lax.psum(jnp.tanh(row * sums), "chip"), None

        return lax.scan(add, jnp.zeros(rows.shape[1]), rows)[0]

    (found,) = facts_of(total, jnp.ones((24, 50))).collectives
    assert (found.kind, found.dtype, found.tensors) == ("all-reduce", "f32", 1)
    # Four devices share the 24 rows, so each makes six exchanges.
    assert (found.bytes, found.times, found.total_bytes) == (50 * 4, 6, 6 * 50 * 4)
    assert [loop.trips for loop in found.loops] == [6]


def test_a_gathering_has_the_bytes_of_the_whole():
    mesh = Mesh(np.array(jax.devices()[:4]), ("chip",))
    gather = partial(lax.all_gather, axis_name="chip", tiled=True)
    whole = jax.shard_map(gather, mesh=mesh, in_specs=P("chip"), out_specs=P(), check_vma=False)
    (found,) = facts_of(whole, jnp.ones((8, 3))).collectives
    assert (found.kind, found.bytes) == ("all-gather", 8 * 3 * 4)


def test_gathers_of_bytes_are_told_from_others():
    def take(images, table, rows):
        return images[rows], table[rows]

    rows = jnp.arange(5)
    facts = facts_of(take, jnp.ones((50, 7), jnp.uint8), jnp.ones((50, 3)), rows)
    assert len(facts.gathers) == 2
    (found,) = facts.byte_gathers
    assert (found.slice_sizes, found.slices, found.times) == ((1, 7), 5, 1)
    assert found.stack[0].file == __file__
    assert found.stack[0].line == take.__code__.co_firstlineno + 1


def test_arguments_are_aliased_where_they_are_donated():
    def step(state, batch):
        return {name: value + batch.mean() for name, value in state.items()}

    state = {"kernel": jnp.ones((5, 3)), "scale": jnp.ones(7)}
    arguments = (state, jnp.ones((9, 2)))
    kept = facts_of(step, *arguments)
    given = facts_of(step, *arguments, donate_argnums=0)
    assert [parameter.name for parameter in kept.undonated] == ["state['kernel']", "state['scale']"]
    assert given.undonated == ()
    assert [parameter.is_aliased for parameter in given.parameters] == [True, True, False]
    assert [parameter.shape.bytes for parameter in given.parameters] == [60, 28, 72]


def test_the_result_that_is_no_tuple_is_aliased_too():
    facts = facts_of(lambda state, other: state + other, jnp.ones(3), jnp.ones(3), donate_argnums=0)
    assert [parameter.is_aliased for parameter in facts.parameters] == [True, False]
    assert facts.undonated == ()


def test_the_lines_of_python_stand_from_the_innermost():
    def inner(x):
        return x @ x

    def outer(x):
        return inner(jnp.sin(x))

    (product,) = facts_of(outer, jnp.ones((4, 4))).products
    functions = [frame.function.rpartition(".")[2] for frame in product.stack]
    assert functions[:3] == ["inner", "outer", "facts_of"]
    assert [frame.line for frame in product.stack[:2]] == [
        function.__code__.co_firstlineno + 1 for function in (inner, outer)
    ]


def test_the_place_of_an_older_program_is_in_the_line():
    text = """HloModule old

ENTRY %main (x: f32[4,4]) -> f32[4,4] {
  %x = f32[4,4]{1,0} parameter(0)
  ROOT %dot = f32[4,4]{1,0} dot(f32[4,4]{1,0} %x, f32[4,4]{1,0} %x), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}, metadata={op_type="dot" source_file="net.py" source_line=12}
}
"""
    (product,) = read_program(text.replace("\\\n", "")).products
    assert [str(frame) for frame in product.stack] == ["net.py:12"]
    assert product.flops == 2 * 4**3


def test_other_texts_are_refused():
    with pytest.raises(ValueError, match=r"starts with 'HloModule', got 'module @jit_f'"):
        read_program("module @jit_f")
    text = jax.jit(jnp.sin).lower(1.0).compile().as_text()
    with pytest.raises(ValueError, match="marked ENTRY, got none; is the text cut off"):
        read_program(text[: text.index("ENTRY")])


def test_the_folder_imports_nothing_else_of_the_package():
    files = list(Path(package.__file__).parent.glob("*.py"))
    modules = [
        node.module or ""
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    ]
    ours = [module for module in modules if module.startswith("jaxsched")]
    assert ours
    assert all(module.startswith("jaxsched.ahead_of_time.hlo.") for module in ours)
