"""Which schedule brings a language model to a loss in the fewest updates?

    jaxsched bench experiments/studies/language.py --size rates   # finds each schedule's rate
    jaxsched bench experiments/studies/language.py                # --size cpu

A transformer of two blocks learns the language reference that comes with Python, byte by byte, with
AdamW: four schedules and a constant rate, all warmed up in the first 5 % of the run. `rates` gives
each schedule the same small budget: four peaks, with a seed that `cpu` does not use, on the last
tenth of the training text; `RATES` holds the peak with the lowest last loss.

The target is AlgoPerf's rule on `constant`: the median over seeds of its best loss. A run takes
about 15 seconds on 2 cores of an AMD EPYC beside other jobs.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jaxsched as js
from jaxsched.bench import MedianBest, Study
from jaxsched.data import PythonDocs
from jaxsched.experiment import Experiment, held_out
from jaxsched.models import Transformer
from jaxsched.tasks import LanguageModel

WARMUP = "5%"
SCHEDULES: Mapping[str, Callable[[float], js.Schedule]] = {
    "constant": lambda peak: js.Warmup(js.Constant(peak), WARMUP),
    "cosine": lambda peak: js.Warmup(js.Cosine(peak, "100%"), WARMUP),
    "linear": lambda peak: js.Warmup(js.Linear(peak, 0.0, "100%"), WARMUP),
    "wsd": lambda peak: js.WSD(peak, "100%", cooldown="20%", warmup=WARMUP),
    # The transformer's schedule: flat during the warm-up, then falling.
    "inverse_sqrt": lambda peak: js.Warmup(js.InverseSqrt(peak, WARMUP, form="held"), WARMUP),
}
PEAKS = (2e-3, 4e-3, 8e-3, 16e-3)
# From the records of `rates`.
RATES = {"constant": 4e-3, "cosine": 8e-3, "linear": 8e-3, "wsd": 8e-3, "inverse_sqrt": 8e-3}

base = Experiment(
    name="base",
    task=LanguageModel(model=Transformer(depth=2, width=32, heads=2), data=PythonDocs(context=64)),
    phases=(js.Phase(epochs=3, batch_size=8),),
    optimizer=js.AdamW(1e-3, b2=0.99, weight_decay=0.1, decay_mask="kernels"),
    evaluate_every=0.1,
    num_devices=1,
)


def run(name: str, schedule: str, peak: float) -> Experiment:
    """The experiment with this schedule."""
    optimizer = dataclasses.replace(base.optimizer, lr=SCHEDULES[schedule](peak))
    return dataclasses.replace(base, name=name, optimizer=optimizer)


sizes = {
    "cpu": Study(
        name="language",
        experiments=tuple(run(name, name, RATES[name]) for name in SCHEDULES),
        seeds=(0, 1, 2, 3, 4),
        target=MedianBest("constant"),
        further_targets=(1.7, 1.65, 1.6, 1.55),
        baseline="constant",
        metric="test_loss",
    ),
    "rates": Study(
        name="language_rates",
        experiments=tuple(
            held_out(run(f"{name}_{peak:g}", name, peak)) for name in SCHEDULES for peak in PEAKS
        ),
        seeds=(100,),
        target=1.7,
        metric="test_loss",
    ),
}
