"""A surveyed program as text for a terminal."""

from jaxsched.ahead_of_time.survey import Surveyed
from jaxsched.text_table import bullet_list, fitted_table, paragraph

_UNITS = ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1, "FLOP"))


def program_text(one: Surveyed, width: int) -> str:
    """Returns the figures of a program and its warnings, without a newline at the end.

    Args:
        one: the program.
        width: the terminal's width in characters.
    """
    parts = [paragraph(_heading(one), width)]
    if one.compiled is not None:
        parts.append(fitted_table(_figures(one), width, prose=("of each chip",)))
        parts.append(_exchanges(one, width))
    if sentences := _sentences(one):
        parts.append(bullet_list(sentences, width))
    return "\n".join(parts)


def _heading(one: Surveyed) -> str:
    text = one.what
    if one.batch_size is not None:
        text += f": batch size {one.batch_size:,}, {one.examples:,} examples a chip"
    if one.micro_batches > 1:
        text += f" in {one.micro_batches} micro-batches"
    if one.compiled is not None:
        text += f"; compiled in {one.compiled.seconds:.0f} s"
    return text


def _figures(one: Surveyed) -> list[tuple[str, str, str]]:
    assert one.compiled is not None
    memory, facts, cost = one.compiled.memory, one.compiled.facts, one.cost
    share = f"{memory.total / one.memory:.1%} of {one.memory / 1e9:.2f} GB"
    by_dtype = ", ".join(f"{dtype} {_flop(n)}" for dtype, n in facts.flops_by_dtype.items())
    rows = [
        ("", "an update" if one.batch_size else "a batch", "of each chip"),
        ("arguments", _size(memory.arguments), "state, data, settings"),
        ("outputs", _size(memory.outputs), ""),
        ("aliased", f"-{_size(memory.aliased)}", "outputs in the memory of arguments"),
        ("temporaries", _size(memory.temporaries), ""),
        ("code", _size(memory.code), ""),
        ("memory", _size(memory.total), f"{share}: it {'fits' if one.fits else 'does not fit'}"),
        ("arithmetic", _flop(facts.flops), by_dtype),
        ("memory traffic", _size(facts.traffic), ""),
    ]
    if cost is not None:
        rows += [
            ("time at peak", f"{1e3 * cost.arithmetic:.3g} ms", "of the arithmetic"),
            ("time at bandwidth", f"{1e3 * cost.traffic:.3g} ms", "of the memory traffic"),
            ("MFU", f"{cost.utilisation:.0%}", "at most, by the longer of the two"),
        ]
    return rows


def _exchanges(one: Surveyed, width: int) -> str:
    if not one.exchanges:
        return "The chips exchange nothing."
    rows = [("between chips", "dtype", "count", "size")]
    rows += [
        (kind, dtype, f"{count:,}", _size(size))
        for (kind, dtype), (count, size) in one.exchanges.items()
    ]
    return fitted_table(rows, width)


def _sentences(one: Surveyed) -> list[str]:
    """Returns what is wrong, the most important first."""
    sentences = []
    if one.refusal:
        sentences.append(f"It does not fit: {one.refusal}")
    if one.remedy:
        sentences.append(str(one.remedy))
    sentences += map(str, one.findings)
    if one.compiled is not None and len(one.compiled.facts.unknown_loops) > 1:
        sentences.append("Loops whose length depends on the data count as one trip each.")
    return sentences


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"


def _flop(count: int) -> str:
    unit, name = next((u, n) for u, n in _UNITS if count >= u or u == 1)
    return f"{count / unit:.4g} {name}"
