import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxsched
from jaxsched.ahead_of_time.findings import findings, place_of
from jaxsched.ahead_of_time.hlo.facts import read_program
from jaxsched.ahead_of_time.hlo.shapes import shapes_in
from jaxsched.ahead_of_time.hlo.source import Frame

FOLDER = Path(__file__).parent / "hlo/recorded"


def found_in(name, **options):
    facts = read_program((FOLDER / f"{name}.txt").read_text())
    return {finding.kind: finding for finding in findings(facts, **options)}


def test_bytes_are_gathered():
    finding = found_in("tpu_flip")["byte gather"]
    assert finding.sentence == "4,096 slices of 96 bytes each are gathered from u8[128,32,32,3]."
    assert (finding.count, finding.bytes) == (4096, 128 * 32 * 32 * 3)
    assert finding.place.startswith("record.py:")
    assert str(finding) == f"{finding.place}: {finding.sentence} {finding.cure}"


def test_whole_rows_are_gathered_well_where_they_are_short():
    gather = read_program((FOLDER / "tpu_flip.txt").read_text()).byte_gathers[0]

    def of_rows(length):
        (source,) = shapes_in(f"u8[5000,{length}]{{1,0}}")
        (output,) = shapes_in(f"u8[32,{length}]{{1,0}}")
        return dataclasses.replace(
            gather, source=source, output=output, slice_sizes=(1, length), times=1
        )

    facts = read_program((FOLDER / "tpu_flip.txt").read_text())
    short, long = (
        findings(dataclasses.replace(facts, gathers=(of_rows(length),)))
        for length in (3072, 150_528)
    )
    assert "byte gather" not in {finding.kind for finding in short}
    (finding,) = (finding for finding in long if finding.kind == "byte gather")
    assert finding.sentence == "32 slices of 150,528 bytes each are gathered from u8[5000,150528]."
    assert finding.cure.startswith("Stream the data")


def test_an_array_is_padded():
    finding = found_in("tpu_flip")["padded"]
    assert finding.sentence == (
        "u8[4096,32,3] takes 2,097,152 bytes in memory, 5.3 times its values; it is made 1 time."
    )
    assert finding.bytes == 2**21


def test_only_reductions_inside_an_update_run_for_each_micro_batch():
    finding = found_in("tpu_updates")["reduction in a loop"]
    assert finding.sentence == "1 all-reduce of f32, 512 bytes, runs for each of 3 micro-batches."
    assert (finding.count, finding.bytes) == (3, 3 * 512)
    # Both loops would be of whole updates.
    assert "reduction in a loop" not in found_in("tpu_updates", update_loops=2)


def test_a_float32_head_in_a_bfloat16_network():
    finding = found_in("tpu_convolutions")["float32 product"]
    assert finding.sentence == (
        "3 matrix products in f32 make 19.5% of the operations of a network in half precision."
    )
    assert (finding.count, finding.bytes) == (3, None)


def test_a_small_float32_head_costs_nothing():
    facts = read_program((FOLDER / "tpu_convolutions.txt").read_text())
    # The same network with each convolution run a hundred times.
    products = tuple(
        dataclasses.replace(product, times=100) if product.is_convolution else product
        for product in facts.products
    )
    deep = dataclasses.replace(facts, products=products)
    assert len(deep.full_precision_products) == 3
    assert "float32 product" not in {finding.kind for finding in findings(deep)}


def test_a_float32_network_may_use_bfloat16_here_and_there():
    assert "float32 product" not in found_in("tpu_updates")


def test_a_state_that_is_not_donated():
    def step(state, batch):
        return {name: value + batch.sum() for name, value in state.items()}

    arguments = ({"kernel": jnp.ones((500, 300)), "scale": jnp.ones(7)}, jnp.ones(9))

    def kinds(**options):
        compiled = jax.jit(step, **options).lower(*arguments).compile()
        return findings(read_program(compiled.as_text()))

    (finding,) = kinds()
    assert (finding.kind, finding.count, finding.bytes) == ("not donated", 2, 600_000 + 28)
    assert "such as state['kernel'], come back" in finding.sentence
    assert kinds(donate_argnums=0) == ()


def test_the_place_is_the_innermost_of_our_code_or_the_users():
    ours = Frame(str(Path(jaxsched.__file__).parent / "train/loop.py"), 7)
    users, installed = Frame("/home/me/net.py", 3), Frame("/x/site-packages/flax/core.py", 9)
    assert place_of((installed, ours, users)) == "jaxsched/train/loop.py:7"
    assert place_of((installed, users, ours)) == "/home/me/net.py:3"
    assert place_of((installed,)) == f"{installed}"
    assert place_of(()) == ""
