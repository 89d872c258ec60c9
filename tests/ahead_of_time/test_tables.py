import re
from pathlib import Path

import pytest

from jaxsched.ahead_of_time.chips import TPUS
from jaxsched.ahead_of_time.cost import cost_on
from jaxsched.ahead_of_time.findings import findings
from jaxsched.ahead_of_time.fit import Remedy
from jaxsched.ahead_of_time.hlo.facts import read_program
from jaxsched.ahead_of_time.programs import Compiled, Memory
from jaxsched.ahead_of_time.survey import Surveyed, as_json
from jaxsched.ahead_of_time.tables import program_text

RECORDED = Path(__file__).parent / "hlo/recorded"
MEMORY = Memory(
    arguments=5 * 10**8, outputs=4 * 10**8, aliased=4 * 10**8, temporaries=10**9, code=10**7
)


def surveyed(name, memory, **fields):
    facts = read_program((RECORDED / f"{name}.txt").read_text())
    return Surveyed(
        what="phase 1",
        batch_size=512,
        examples=128,
        micro_batches=1,
        memory=memory,
        compiled=Compiled(facts, MEMORY, 12.3),
        cost=cost_on(TPUS["v5e"], facts, exact=False),
        findings=findings(facts),
        **fields,
    )


def test_the_table_tells_memory_arithmetic_exchanges_and_warnings():
    text = program_text(surveyed("tpu_updates", TPUS["v5e"].memory), 80)
    assert text.startswith("phase 1: batch size 512, 128 examples a chip; compiled in 12 s\n")
    # 0.5 + 0.4 − 0.4 + 1 + 0.01 GB of 15.75 · 2³⁰ bytes.
    assert re.search("memory +1.51 GB  8.9% of 16.91 GB: it fits\n", text)
    # Twice 3 micro-batches of 16 × 128 × 128 products, in float32 that may be rounded.
    flops = 2 * 3 * 2 * 16 * 128 * 128
    assert f"{flops / 1e6:.4g} MFLOP" in text
    assert f"{1e3 * flops / 197e12:.3g} ms" in text
    words = " ".join(text.split())
    assert "all-reduce f32 4 0.07 MB" in words and "for each of 3 micro-batches" in words
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 60])
def test_it_fits_narrow_terminals(width):
    lines = program_text(surveyed("tpu_flip", TPUS["v5e"].memory), width).splitlines()
    assert max(map(len, lines)) <= width


def test_a_program_that_does_not_fit_comes_with_its_remedy():
    too_large = surveyed("tpu_updates", 10**9, remedy=Remedy("max_device_batch", 64))
    text = program_text(too_large, 80)
    assert "151.0% of 1.00 GB: it does not fit" in text
    assert "max_device_batch=64 fits" in text
    assert as_json(too_large)["remedy"] == {"setting": "max_device_batch", "value": 64}
    refused = Surveyed(
        "phase 1", 512, 128, 1, 10**9, refusal="447.18G exceeds", remedy=Remedy("batch_size", None)
    )
    text = program_text(refused, 80)
    assert "It does not fit: 447.18G exceeds" in text and "Not even the smallest" in text
    assert as_json(refused)["fits"] is False
