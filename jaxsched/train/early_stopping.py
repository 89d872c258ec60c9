"""When a run has no more to gain: ABEL's rule for runs without a fixed budget."""

from collections.abc import Sequence

from jaxsched.optim.stateful import Abel
from jaxsched.train.evaluation import Evaluation


def abel_stop_reason(rows: Sequence[Evaluation], abel: Abel | None) -> str:
    """Why to stop here: the last decay gained too little; "" to go on.

    Each decay gains less than the one before, so one that gains less than `abel.stop_below` in
    `abel.stop_after` epochs is followed by none that is worth its time.

    Args:
        rows: of the run so far.
        abel: of the experiment; None, or one without `stop_below`, never stops.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), section 2.
    """
    if abel is None or abel.stop_below is None or not rows:
        return ""
    decays = _decays(rows[-1])
    before = [row for row in rows if _decays(row) < decays]
    since = rows[len(before) :]
    if not before:
        return ""
    last, num_examples = rows[-1], rows[-1].examples / rows[-1].epoch
    # Marks are met up to one batch.
    examples = last.examples - before[-1].examples + last.batch_size
    if examples < abel.stop_after * num_examples:
        return ""
    gain = max(r.test_accuracy for r in since) - max(r.test_accuracy for r in before)
    if gain >= abel.stop_below:
        return ""
    return (
        f"stopped at update {last.step}: decay {decays} has gained {gain:.2%} accuracy, less than "
        f"stop_below={abel.stop_below:.2%}"
    )


def _decays(row: Evaluation) -> int:
    return int(row.abel["num_decays"]) if row.abel else 0
