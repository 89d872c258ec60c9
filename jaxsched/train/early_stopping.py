"""Early stopping by ABEL's rule, for runs without a fixed budget."""

from collections.abc import Sequence

from jaxsched.optim.stateful import Abel
from jaxsched.tasks import Metric
from jaxsched.train.evaluation import Evaluation


def abel_stop_reason(rows: Sequence[Evaluation], abel: Abel | None, metric: Metric) -> str:
    """Returns why to stop the run when its last decay has gained too little, else "".

    Each decay gains less than the one before. So once a decay has gained less than
    `abel.stop_below` in `abel.stop_after` epochs, the decays after it are not worth their time.

    Args:
        rows: the run's evaluations so far.
        abel: the experiment's ABEL. None, or one without `stop_below`, never stops a run.
        metric: the task's main metric, of the test set, in which the gain is measured.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), section 2.
    """
    if abel is None or abel.stop_below is None or not rows:
        return ""
    decays = _num_decays(rows[-1])
    before = [row for row in rows if _num_decays(row) < decays]
    since = rows[len(before) :]
    if not before:
        return ""
    last, num_examples = rows[-1], rows[-1].examples / rows[-1].epoch
    # Evaluations come after whole updates, so two of them can be up to a batch closer to each other
    # than the epochs between them.
    examples = last.examples - before[-1].examples + last.batch_size
    if examples < abel.stop_after * num_examples:
        return ""
    name = f"test_{metric.name}"
    best, earlier = (metric.best(row.metrics[name] for row in rows) for rows in (since, before))
    gain = metric.gain(best, before=earlier)
    if gain >= abel.stop_below:
        return ""
    return (
        f"stopped at update {last.step}: decay {decays} has gained {metric.show(gain)} "
        f"{metric.name}, less than stop_below={metric.show(abel.stop_below)}"
    )


def _num_decays(row: Evaluation) -> int:
    return int(row.abel["num_decays"]) if row.abel else 0
