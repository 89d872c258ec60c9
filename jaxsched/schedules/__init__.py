"""Learning-rate, momentum and weight-decay schedules: pure functions of time on `jax.numpy`.

Which one to use:

    the length of the run is known    Cosine, Linear, Polynomial, Rex, OneCycle, SmithOneCycle
    it may still change               WSD, InverseSqrt, Power, CosineRestarts, Cyclic
    drops at chosen times             MultiStep, Step, Exponential
    weights are averaged              SWAConstant, SWACyclic
    the momentum of a cycle           OneCycleMomentum, or the cycle's own `momentum`
    any other shape                   Constant, Interpolate, Function
    combinators                       Warmup, Sequence, Product, Stretch

What they all have in common is described at `Schedule`.
"""

from jaxsched.schedules.base import Schedule as Schedule
from jaxsched.schedules.constant import Constant as Constant
from jaxsched.schedules.cosine import Cosine as Cosine
from jaxsched.schedules.cosine_restarts import CosineRestarts as CosineRestarts
from jaxsched.schedules.cyclic import Cyclic as Cyclic
from jaxsched.schedules.exponential import Exponential as Exponential
from jaxsched.schedules.function import Function as Function
from jaxsched.schedules.interpolate import Interpolate as Interpolate
from jaxsched.schedules.inverse_sqrt import InverseSqrt as InverseSqrt
from jaxsched.schedules.linear import Linear as Linear
from jaxsched.schedules.multi_step import MultiStep as MultiStep
from jaxsched.schedules.one_cycle import OneCycle as OneCycle
from jaxsched.schedules.one_cycle import OneCycleMomentum as OneCycleMomentum
from jaxsched.schedules.polynomial import Polynomial as Polynomial
from jaxsched.schedules.power import Power as Power
from jaxsched.schedules.product import Product as Product
from jaxsched.schedules.rex import Rex as Rex
from jaxsched.schedules.sequence import Sequence as Sequence
from jaxsched.schedules.smith_one_cycle import SmithOneCycle as SmithOneCycle
from jaxsched.schedules.step import Step as Step
from jaxsched.schedules.stretch import Stretch as Stretch
from jaxsched.schedules.swa import SWAConstant as SWAConstant
from jaxsched.schedules.swa import SWACyclic as SWACyclic
from jaxsched.schedules.warmup import Warmup as Warmup
from jaxsched.schedules.wsd import WSD as WSD
