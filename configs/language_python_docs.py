"""A transformer of two blocks on the language reference that comes with Python, eight epochs.

    jaxsched train configs/language_python_docs.py

Hardware: 2 cores of an AMD EPYC, 55 seconds of training, 65 in all.
Expected: a loss of 1.37 nats (1.98 bits) a byte on the last tenth of the text (n=1, Python 3.11;
other versions of Python have another text).
"""

import jaxsched as js
from jaxsched.data import PythonDocs
from jaxsched.experiment import Experiment
from jaxsched.models import Transformer
from jaxsched.tasks import LanguageModel

experiment = Experiment(
    name="language_python_docs",
    task=LanguageModel(
        model=Transformer(depth=2, width=64, heads=2),
        data=PythonDocs(context=64),
    ),
    phases=(js.Phase(epochs=8, batch_size=8),),
    optimizer=js.AdamW(
        js.Warmup(js.Linear(4e-3, 0.0, duration="100%"), duration="2%"),
        b2=0.99,
        weight_decay=0.1,
        decay_mask="kernels",
    ),
)
