"""Learning-rate, momentum, weight-decay and batch-size schedules for JAX and Optax.

Everything in this module needs only JAX, NumPy and Optax. Models, data, the trainer and the
benchmark are in `jaxsched.models`, `.data`, `.train` and `.bench`, which import more.

For your own Optax chain:

- schedules, functions of the update count, such as `Cosine`, `Warmup` or `OneCycle`;
- stateful transformations: `scale_by_abel`, `scale_by_plateau`, `average_params`, `swag` and
  `estimate_noise`;
- `compat.torch`, torch's schedulers under torch's names;
- `range_test` and `suggest` find a learning rate; `plot` shows a schedule.

`fit` trains a Flax module of one's own on arrays.

For an experiment, in epochs: a `Plan` of `Phase`s, an optimizer spec such as `SGD` or `AdamW`, and
`trade`, which exchanges learning-rate decay for batch growth.

For a training loop of your own, in any framework: `recorder`, which needs no JAX.

A name is imported when it is first used; `__init__.pyi` lists them all.

Example:
    >>> import optax, jaxsched as js
    >>> schedule = js.Warmup(js.Cosine(0.1, duration=1000), duration=100)
    >>> optimizer = optax.sgd(schedule, momentum=0.9)
"""

from jaxsched.lazy import lazy_names as _lazy_names

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = _lazy_names(__name__)
