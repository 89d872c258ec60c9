"""Learning-rate, momentum and weight-decay schedules: pure functions of time on `jax.numpy`.

Which one to use:

    the length of the run is known    Cosine, Linear, Polynomial, Rex, Tanh, OneCycle, SmithOneCycle
    it may still change               WSD, InverseSqrt, InverseTime, Power, Exponential,
                                      CosineRestarts, Cyclic
    drops at chosen times             MultiStep, Step
    weights are averaged              SWAConstant, SWACyclic
    the momentum of a cycle           OneCycleMomentum, or the cycle's own `momentum`
    any other shape                   Constant, Interpolate, Function
    combinators                       Warmup, Sequence, AtLeast, Stretch, Product (`schedule * 2`),
                                      Sum (`schedule + 0.1`)

What they all have in common is described at `Schedule`.
"""

from jaxsched.schedules.annealing.cosine import Cosine as Cosine
from jaxsched.schedules.annealing.linear import Linear as Linear
from jaxsched.schedules.annealing.polynomial import Polynomial as Polynomial
from jaxsched.schedules.annealing.rex import Rex as Rex
from jaxsched.schedules.annealing.tanh import Tanh as Tanh
from jaxsched.schedules.annealing.wsd import WSD as WSD
from jaxsched.schedules.base import Schedule as Schedule
from jaxsched.schedules.combine.at_least import AtLeast as AtLeast
from jaxsched.schedules.combine.product import Product as Product
from jaxsched.schedules.combine.sequence import Sequence as Sequence
from jaxsched.schedules.combine.stretch import Stretch as Stretch
from jaxsched.schedules.combine.sum import Sum as Sum
from jaxsched.schedules.combine.warmup import Warmup as Warmup
from jaxsched.schedules.custom.function import Function as Function
from jaxsched.schedules.custom.interpolate import Interpolate as Interpolate
from jaxsched.schedules.cyclic.cosine_restarts import CosineRestarts as CosineRestarts
from jaxsched.schedules.cyclic.cyclic import Cyclic as Cyclic
from jaxsched.schedules.cyclic.one_cycle import OneCycle as OneCycle
from jaxsched.schedules.cyclic.one_cycle import OneCycleMomentum as OneCycleMomentum
from jaxsched.schedules.cyclic.smith_one_cycle import SmithOneCycle as SmithOneCycle
from jaxsched.schedules.cyclic.swa import SWAConstant as SWAConstant
from jaxsched.schedules.cyclic.swa import SWACyclic as SWACyclic
from jaxsched.schedules.endless.exponential import Exponential as Exponential
from jaxsched.schedules.endless.inverse_sqrt import InverseSqrt as InverseSqrt
from jaxsched.schedules.endless.inverse_time import InverseTime as InverseTime
from jaxsched.schedules.endless.power import Power as Power
from jaxsched.schedules.stepwise.constant import Constant as Constant
from jaxsched.schedules.stepwise.multi_step import MultiStep as MultiStep
from jaxsched.schedules.stepwise.step import Step as Step
