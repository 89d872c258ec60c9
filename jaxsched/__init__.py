"""Schedules for JAX: which one, and how many steps does it save?

What this module imports needs JAX and Optax alone; models, data, the trainer and the benchmark live
in `jaxsched.models`, `.data`, `.train` and `.bench`.
"""

from jaxsched.noise import noise_scale as noise_scale
from jaxsched.optimizers import SGD as SGD
from jaxsched.optimizers import Adam as Adam
from jaxsched.optimizers import AdamW as AdamW
from jaxsched.optimizers import FromOptax as FromOptax
from jaxsched.optimizers import Optimizer as Optimizer
from jaxsched.optimizers import hyperparams as hyperparams
from jaxsched.plan import Phase as Phase
from jaxsched.plan import Plan as Plan
from jaxsched.plan import every as every
from jaxsched.schedules import Constant as Constant
from jaxsched.schedules import Cosine as Cosine
from jaxsched.schedules import MultiStep as MultiStep
from jaxsched.schedules import OneCycle as OneCycle
from jaxsched.schedules import OneCycleMomentum as OneCycleMomentum
from jaxsched.schedules import Schedule as Schedule
from jaxsched.schedules import Warmup as Warmup
