"""Is a complex schedule worth it on language, and does the weight norm bounce?

    jaxsched bench experiments/studies/language_abel.py
    python experiments/figures/language_abel.py

The language half of Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, table 2): a
transformer that translates reaches 29.0 BLEU with a linear decay and 28.9 with a constant rate and
one late decay (English to German; 43.0 by both to French), an ALBERT that is fine-tuned 83.1 and
82.9 on GLUE. The paper finds no bounce of the norm there, and concludes that where there is none a
complex schedule is not worth it.

Here a transformer of two blocks learns the language reference that comes with Python in eight
epochs, at whose ends ABEL measures the norm: by Adam without weight decay, as transformers were
trained then, and by AdamW with the decay on all weights. Both by a linear decay, by one late decay
and by ABEL. The peaks are those that language.py found for its linear and its constant schedule.

A run takes half a minute on 2 cores of an AMD EPYC beside other jobs.
"""

import dataclasses
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.experiment import Experiment, load_module

language = load_module(Path(__file__).with_name("language.py"))

FACTOR = 0.1
LATE = "85%"


def late(peak: float) -> js.Schedule:
    """Constant after a warm-up, with one late decay."""
    return js.Warmup(js.MultiStep(peak, (LATE,), FACTOR), language.WARMUP)


LINEAR = language.SCHEDULES["linear"](language.RATES["linear"])
CONSTANT = language.SCHEDULES["constant"](language.RATES["constant"])
ABEL = js.Abel(FACTOR, last_decay=LATE)
OPTIMIZERS = {
    "adam": js.Adam(1e-3, b2=0.99),
    "adamw": js.AdamW(1e-3, b2=0.99, weight_decay=0.1),
}
base = dataclasses.replace(
    language.base,
    phases=(js.Phase(epochs=8, batch_size=32),),
    evaluate_every=1.0,
    weight_norms=True,
)


def experiments() -> tuple[Experiment, ...]:
    """The three schedules for each optimizer."""
    fields = {
        "linear": {"lr": LINEAR},
        "late": {"lr": late(language.RATES["constant"])},
        "abel": {"lr": CONSTANT, "abel": ABEL},
    }
    return tuple(
        dataclasses.replace(
            base,
            name=f"{schedule}_{kind}",
            optimizer=dataclasses.replace(optimizer, **changes),
        )
        for kind, optimizer in OPTIMIZERS.items()
        for schedule, changes in fields.items()
    )


study = Study(
    name="language_abel",
    experiments=experiments(),
    seeds=(0, 1, 2, 3, 4),
    target=1.8,
    baseline="late_adam",
    metric="test_loss",
)
