"""Learning-rate, momentum, weight-decay and batch-size schedules for JAX and Optax.

Everything in this module needs only JAX, NumPy and Optax. Models, data, the trainer and the
benchmark are in `jaxsched.models`, `.data`, `.train` and `.bench`, which import more.

For your own Optax chain:

- schedules, functions of the update count, such as `Cosine`, `Warmup` or `OneCycle`;
- stateful transformations: `scale_by_abel`, `scale_by_plateau`, `average_params`, `swag` and
  `estimate_noise`;
- `compat.torch`, torch's schedulers under torch's names;
- `range_test` and `suggest` find a learning rate; `plot` shows a schedule.

For an experiment, in epochs: a `Plan` of `Phase`s, an optimizer spec such as `SGD` or `AdamW`, and
`trade`, which exchanges learning-rate decay for batch growth.

Example:
    >>> import optax, jaxsched as js
    >>> schedule = js.Warmup(js.Cosine(0.1, duration=1000), duration=100)
    >>> optimizer = optax.sgd(schedule, momentum=0.9)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

# What is public. A name's module is imported once the name is used, because JAX and Optax take most
# of a second, which `jaxsched --help` shall not need.
if TYPE_CHECKING:
    from jaxsched import compat as compat
    from jaxsched import schedules as schedules
    from jaxsched.batch_size.growth import GrowOnDecay as GrowOnDecay
    from jaxsched.batch_size.growth import GrowOnNoise as GrowOnNoise
    from jaxsched.batch_size.noise_scale import noise_scale as noise_scale
    from jaxsched.batch_size.trade import Trade as Trade
    from jaxsched.batch_size.trade import trade as trade
    from jaxsched.lr_finder.curve import RangeCurve as RangeCurve
    from jaxsched.lr_finder.range_test import range_test as range_test
    from jaxsched.lr_finder.suggest import Suggestions as Suggestions
    from jaxsched.lr_finder.suggest import suggest as suggest
    from jaxsched.optim.hyperparams import hyperparams as hyperparams
    from jaxsched.optim.optimizers import SGD as SGD
    from jaxsched.optim.optimizers import Adam as Adam
    from jaxsched.optim.optimizers import AdamW as AdamW
    from jaxsched.optim.optimizers import FromOptax as FromOptax
    from jaxsched.optim.optimizers import Optimizer as Optimizer
    from jaxsched.optim.stateful import Abel as Abel
    from jaxsched.optim.stateful import Averaging as Averaging
    from jaxsched.optim.stateful import NoiseEstimate as NoiseEstimate
    from jaxsched.optim.stateful import Plateau as Plateau
    from jaxsched.optim.stateful import Swag as Swag
    from jaxsched.plan import Phase as Phase
    from jaxsched.plan import Plan as Plan
    from jaxsched.plan import every as every
    from jaxsched.plotting.plot import plot as plot
    from jaxsched.schedules import WSD as WSD
    from jaxsched.schedules import Constant as Constant
    from jaxsched.schedules import Cosine as Cosine
    from jaxsched.schedules import CosineRestarts as CosineRestarts
    from jaxsched.schedules import Cyclic as Cyclic
    from jaxsched.schedules import Exponential as Exponential
    from jaxsched.schedules import Function as Function
    from jaxsched.schedules import Interpolate as Interpolate
    from jaxsched.schedules import InverseSqrt as InverseSqrt
    from jaxsched.schedules import Linear as Linear
    from jaxsched.schedules import MultiStep as MultiStep
    from jaxsched.schedules import OneCycle as OneCycle
    from jaxsched.schedules import OneCycleMomentum as OneCycleMomentum
    from jaxsched.schedules import Polynomial as Polynomial
    from jaxsched.schedules import Power as Power
    from jaxsched.schedules import Product as Product
    from jaxsched.schedules import Rex as Rex
    from jaxsched.schedules import Schedule as Schedule
    from jaxsched.schedules import Sequence as Sequence
    from jaxsched.schedules import SmithOneCycle as SmithOneCycle
    from jaxsched.schedules import Step as Step
    from jaxsched.schedules import Stretch as Stretch
    from jaxsched.schedules import SWAConstant as SWAConstant
    from jaxsched.schedules import SWACyclic as SWACyclic
    from jaxsched.schedules import Warmup as Warmup
    from jaxsched.transforms import average_params as average_params
    from jaxsched.transforms import averaged_params as averaged_params
    from jaxsched.transforms import estimate_noise as estimate_noise
    from jaxsched.transforms import gradient_noise as gradient_noise
    from jaxsched.transforms import sample_swag as sample_swag
    from jaxsched.transforms import scale_by_abel as scale_by_abel
    from jaxsched.transforms import scale_by_plateau as scale_by_plateau
    from jaxsched.transforms import swag as swag
else:
    import ast
    import functools
    import importlib
    from pathlib import Path

    @functools.cache
    def _modules():
        """Returns the module of each public name, as the imports above state them."""
        (block,) = (n for n in ast.parse(Path(__file__).read_bytes()).body if isinstance(n, ast.If))
        return {a.asname: node.module for node in block.body for a in node.names}

    def __getattr__(name):
        if name == "__all__":
            return list(_modules())
        if name.startswith("__") or name not in _modules():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _modules()[name]
        if module == __name__:
            return importlib.import_module(f"{module}.{name}")
        value = getattr(importlib.import_module(module), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_modules()})
