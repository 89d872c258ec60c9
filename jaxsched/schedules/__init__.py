"""Pure functions of time; know nothing but jax.numpy."""

from jaxsched.schedules.base import Schedule as Schedule
from jaxsched.schedules.constant import Constant as Constant
from jaxsched.schedules.cosine import Cosine as Cosine
from jaxsched.schedules.multi_step import MultiStep as MultiStep
from jaxsched.schedules.one_cycle import OneCycle as OneCycle
from jaxsched.schedules.one_cycle import OneCycleMomentum as OneCycleMomentum
from jaxsched.schedules.warmup import Warmup as Warmup
