"""The optimizer spec: from schedules in epochs to one named Optax chain, and back to values."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax
from optax import InjectStatefulHyperparamsState

from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.base import ScheduleLike
from jaxsched.schedules.function import as_schedule

if TYPE_CHECKING:
    Setting: TypeAlias = ScheduleLike | float
else:
    # At run time the field holds a Schedule, which is what a command line can look into.
    Setting: TypeAlias = Schedule

Coupling: TypeAlias = Literal["l2", "times_lr", "independent"]
Link: TypeAlias = tuple[str, optax.GradientTransformation]

_NONE = Constant(0.0)


@dataclass(frozen=True)
class Optimizer:
    """What becomes an Optax chain once the plan of a run is known.

    Its schedules are functions of epochs; their times may have a unit of their own, as text (see
    `Plan.resolve`). In place of a schedule a bare number is a `Constant`, any other function of
    epochs a `Function`.
    """

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            if spec.type is Setting:
                value = getattr(self, spec.name)
                if isinstance(value, int | float):
                    value = Constant(float(value))
                object.__setattr__(self, spec.name, as_schedule(type(self).__name__, value))

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The Optax chain of a run with this plan, its schedules in updates."""
        raise NotImplementedError

    def schedules(self) -> dict[str, Schedule]:
        """Its schedules in epochs, by the name of their field."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if isinstance(value, Schedule)}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with heavy-ball or Nesterov momentum or with none.

    Formula:
        g ← ∇loss + weight_decay · w          (coupling "l2")
        m ← momentum · m + g
        w ← w − lr · m                        (Nesterov: w − lr · (g + momentum · m))

    The learning rate stands outside the momentum buffer: a lower rate acts at once, as in torch's
    SGD (in Keras it acts after about 1/(1 − momentum) updates). The links of the chain are named
    `weight_decay`, `momentum` and `learning_rate`; a weight decay or a momentum that is the
    constant 0 has no link, and no buffer.

    How the weight decay goes with the learning rate is the `coupling`. What a weight w = 1 becomes
    in one update without gradient, at lr = 0.1 and weight_decay = 0.01, and in the long run:

        "l2"           w·(1 − lr·wd) = 0.999, and momentum 0.9 makes it ten times that; the
                       decay is part of the gradient (torch's SGD; what the four papers use)
        "times_lr"     w·(1 − lr·wd) = 0.999, outside the momentum (AdamW's rule)
        "independent"  w·(1 − wd) = 0.990, whatever the learning rate does

    Attributes:
        lr: learning rate, a schedule in epochs.
        momentum: a schedule in epochs.
        weight_decay: a schedule in epochs, on every parameter.
        nesterov: look ahead along the momentum.
        coupling: "l2", "times_lr" or "independent".

    Source:
        Sutskever et al., "On the importance of initialization and momentum" (ICML 2013); Loshchilov
        and Hutter, "Decoupled weight decay regularization" (arXiv 1711.05101), algorithm 1.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> plan = js.Plan((js.Phase(1, 10),), num_examples=100)
        >>> tx = js.SGD(lr=js.Cosine(0.5, duration=1), momentum=0.9).transformation(plan)
        >>> updates, state = tx.update(jnp.ones(()), tx.init(jnp.ones(())))
        >>> float(updates), {name: float(value) for name, value in js.hyperparams(state).items()}
        (-0.5, {'momentum': 0.8999999761581421, 'learning_rate': 0.5})
    """

    lr: Setting
    momentum: Setting = _NONE
    weight_decay: Setting = _NONE
    nesterov: bool = False
    coupling: Coupling = "l2"

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The Optax chain of a run with this plan, its schedules in updates."""

        def trace(momentum):
            return optax.trace(decay=momentum, nesterov=self.nesterov)

        memory = []
        if self.momentum != _NONE:
            memory.append(("momentum", _scheduled(trace, plan, momentum=self.momentum)))
        return _chain(plan, self.lr, memory, self.weight_decay, self.coupling)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: the gradient's running mean over the root of its running square.

    Formula:
        m ← b1 · m + (1 − b1) · g,   v ← b2 · v + (1 − b2) · g²
        w ← w − lr · m̂ / (√v̂ + eps)            (^: divided by 1 − bᵗ)

    Attributes:
        lr: learning rate, a schedule in epochs.
        b1: decay of the mean, Adam's momentum; a schedule in epochs.
        b2: decay of the square; a schedule in epochs.
        eps: keeps the quotient finite.
        weight_decay: a schedule in epochs, on every parameter.
        coupling: how the weight decay goes with the learning rate, see `SGD`; "times_lr" is AdamW.

    Source:
        Kingma and Ba, "Adam" (arXiv 1412.6980), algorithm 1.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> plan = js.Plan((js.Phase(1, 10),), num_examples=100)
        >>> tx = js.Adam(lr=0.25).transformation(plan)
        >>> updates, _ = tx.update(jnp.array(3.0), tx.init(jnp.zeros(())))
        >>> round(float(updates), 4)
        -0.25
    """

    lr: Setting
    b1: Setting = Constant(0.9)
    b2: Setting = Constant(0.999)
    eps: float = 1e-8
    weight_decay: Setting = _NONE
    coupling: Coupling = "l2"

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The Optax chain of a run with this plan, its schedules in updates."""

        def scale_by_adam(b1, b2):
            return optax.scale_by_adam(b1=b1, b2=b2, eps=self.eps)

        moments = ("moments", _scheduled(scale_by_adam, plan, b1=self.b1, b2=self.b2))
        return _chain(plan, self.lr, [moments], self.weight_decay, self.coupling)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay outside the moments and times the learning rate.

    Formula:
        w ← w − lr · (m̂ / (√v̂ + eps) + weight_decay · w)

    Attributes are `Adam`'s, with another default weight decay and coupling.

    Source:
        Loshchilov and Hutter, "Decoupled weight decay regularization" (arXiv 1711.05101),
        algorithm 2, with the learning rate as the schedule multiplier.

    Example:
        >>> import jaxsched as js
        >>> js.AdamW(lr=1e-3).coupling
        'times_lr'
    """

    weight_decay: Setting = Constant(0.01)
    coupling: Coupling = "times_lr"


@dataclass(frozen=True)
class FromOptax(Optimizer):
    """Any Optax optimizer by its factory, its arguments schedules wherever you give one.

    Attributes:
        factory: what makes the transformation, such as `optax.lion`.
        arguments: its keyword arguments; each `Schedule` among them is a function of epochs.

    Example:
        >>> import optax, jaxsched as js
        >>> lion = js.FromOptax(optax.lion, {"learning_rate": js.Cosine(1e-4, 10), "b1": 0.95})
        >>> plan = js.Plan((js.Phase(10, 10),), num_examples=100)
        >>> sorted(js.hyperparams(lion.transformation(plan).init(0.0)))
        ['b1', 'b2', 'learning_rate', 'weight_decay']
    """

    factory: Callable[..., optax.GradientTransformation]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def transformation(self, plan: Plan) -> optax.GradientTransformationExtraArgs:
        """The factory's transformation for a run with this plan, its schedules in updates."""
        return _scheduled(self.factory, plan, **self.arguments)

    def schedules(self) -> dict[str, Schedule]:
        """Its schedules in epochs, by the name of the factory's argument."""
        return {n: value for n, value in self.arguments.items() if isinstance(value, Schedule)}


def hyperparams(opt_state: optax.OptState) -> dict[str, jax.Array]:
    """The hyper-parameters that the update which made this state used, by name.

    Found wherever `optax.inject_hyperparams` keeps them, in any chain, however nested. A fresh
    state holds those of the first update.

    Args:
        opt_state: the state of any Optax optimizer.

    Returns:
        Values such as `learning_rate`, `momentum` and `weight_decay`, each f32[].

    Raises:
        ValueError: when one name is found twice (two groups of parameters, say); give it the part
            of the state that you mean.

    Example:
        >>> import optax, jaxsched as js
        >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=js.Cosine(0.5, 10))
        >>> float(js.hyperparams(tx.init(0.0))["learning_rate"])
        0.5
    """
    found: dict[str, jax.Array] = {}
    for injected in _injected_states(opt_state):
        for name, value in injected.hyperparams.items():
            if name in found:
                raise ValueError(
                    f"hyperparams expects each name once in the state, got {name!r} twice; "
                    "give it the part of the state that you mean."
                )
            found[name] = jnp.asarray(value)
    return found


def _injected_states(opt_state: Any) -> Iterator[InjectStatefulHyperparamsState]:
    """Every state of an `inject_hyperparams`, outer before inner."""

    def is_injected(node: Any) -> bool:
        return isinstance(node, InjectStatefulHyperparamsState)

    for node in jax.tree.leaves(opt_state, is_leaf=is_injected):
        if is_injected(node):
            yield node
            yield from _injected_states(node.inner_state)


def _scheduled(
    factory: Callable[..., optax.GradientTransformation], plan: Plan, **arguments: Any
) -> optax.GradientTransformationExtraArgs:
    """The factory's transformation, its scheduled arguments set anew at every update.

    Float32 whatever the parameters' dtype: a learning rate in bfloat16 is off by 0.1 %.
    """
    fixed = [name for name, value in arguments.items() if not isinstance(value, Schedule | float)]
    injected = optax.inject_hyperparams(factory, static_args=fixed, hyperparam_dtype=jnp.float32)
    return injected(
        **{
            name: plan.schedule(value) if isinstance(value, Schedule) else value
            for name, value in arguments.items()
        }
    )


def _chain(
    plan: Plan,
    lr: Setting,
    memory: list[Link],
    weight_decay: Setting,
    coupling: Coupling,
) -> optax.GradientTransformationExtraArgs:
    """The chain in the order that the coupling of the weight decay asks for."""
    rate = [("learning_rate", _scheduled(optax.scale_by_learning_rate, plan, learning_rate=lr))]
    shrink = []
    if weight_decay != _NONE:
        # Past the learning rate, and so past its change of sign, the decay subtracts.
        sign = -1 if coupling == "independent" else 1

        def decay_weights(weight_decay):
            return optax.add_decayed_weights(sign * weight_decay)

        shrink = [("weight_decay", _scheduled(decay_weights, plan, weight_decay=weight_decay))]
    orders = {
        "l2": [*shrink, *memory, *rate],
        "times_lr": [*memory, *shrink, *rate],
        "independent": [*memory, *rate, *shrink],
    }
    if coupling not in orders:
        raise ValueError(f"coupling must be one of {list(orders)}, got {coupling!r}.")
    return optax.named_chain(*orders[coupling])
