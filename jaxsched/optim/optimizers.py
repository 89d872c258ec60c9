"""The optimizer spec: from schedules in epochs to one named Optax chain, and back to values."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import jax
import jax.numpy as jnp
import optax

from jaxsched.optim.chain import ZERO, Coupling, Link, Setting, is_zero, links, scheduled
from jaxsched.optim.hyperparams import hyperparams
from jaxsched.optim.stateful import Abel, Averaging, NoiseEstimate, Plateau, Swag
from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Product, Schedule
from jaxsched.schedules.function import as_schedule


@dataclass(frozen=True)
class Optimizer:
    """What becomes an Optax chain once the plan of a run is known.

    Its schedules are functions of epochs; their times may have a unit of their own, as text (see
    `Plan.resolve`). In place of a schedule a bare number is a `Constant`, any other function of
    epochs a `Function`.

    What has a memory has these names in the chain, in this order: `noise` comes first, where the
    updates still are the mean gradient; the others come last, outside the momentum buffer, so that
    a decay acts as a change of `lr` does.

    Attributes:
        noise: estimates the gradient's noise scale.
        abel: decays when the weight norm bounces.
        plateau: decays when evaluations stop improving.
        averaging: keeps a mean of the weights, or a Gaussian.
    """

    noise: NoiseEstimate | None = field(default=None, kw_only=True)
    abel: Abel | None = field(default=None, kw_only=True)
    plateau: Plateau | None = field(default=None, kw_only=True)
    averaging: Averaging | Swag | None = field(default=None, kw_only=True)

    def __post_init__(self):
        for spec in dataclasses.fields(self):
            if spec.type is Setting:
                value = getattr(self, spec.name)
                if isinstance(value, int | float):
                    value = Constant(float(value))
                object.__setattr__(self, spec.name, as_schedule(type(self).__name__, value))

    def transformation(
        self, plan: Plan, evaluation_marks: Sequence[int] = ()
    ) -> optax.GradientTransformationExtraArgs:
        """The Optax chain of a run, its schedules in updates.

        Args:
            plan: of the run.
            evaluation_marks: the examples of the stream at which an evaluation comes, for
                `plateau`: it observes at the first update that starts there or after.

        Raises:
            ValueError: when a time does not fit into the run.
        """
        links = self.links(plan)
        if self.noise is not None:
            links.insert(0, ("noise", self.noise.transformation()))
        if self.abel is not None:
            links.append(("abel", self.abel.transformation(plan)))
        if self.plateau is not None:
            links.append(("plateau", self.plateau.transformation(plan, evaluation_marks)))
        if self.averaging is not None:
            links.append(("averaging", self.averaging.transformation(plan)))
        return optax.named_chain(*links)

    def norm_rates(self, opt_state: optax.OptState) -> tuple[jax.Array, jax.Array] | None:
        """How fast the last update moved along the gradient and shrank the weights.

        None where the change of |w|² has no such terms, as for Adam.
        """
        del opt_state

    def links(self, plan: Plan) -> list[Link]:
        """The chain without what has a memory, its schedules in updates; the names are API."""
        raise NotImplementedError

    def with_rate_times(self, factor: float) -> Self:
        """The same optimizer at a learning rate so many times larger.

        Raises:
            ValueError: when it has no learning rate that is known as such.
        """
        if factor == 1:
            return self
        lr = self.schedules().get("lr")
        if lr is None:
            raise ValueError(
                f"a batch that takes over decays needs an optimizer with a field lr, got {self}; "
                "use SGD, Adam or AdamW."
            )
        return self.with_schedules({"lr": Product((lr, Constant(factor)))})

    def with_schedules(self, schedules: Mapping[str, Any]) -> Self:
        """The same optimizer with these in place of its schedules of these names.

        Example:
            >>> import jaxsched as js
            >>> js.SGD(0.1, momentum=0.9).with_schedules({"lr": 0.5}).lr
            Constant(value=0.5)
        """
        return dataclasses.replace(self, **schedules)

    @property
    def decay_factor(self) -> float:
        """What one decay of ABEL, or else of plateau, multiplies the rate by; 1 without either."""
        if self.abel is not None:
            return self.abel.decay_factor
        return self.plateau.factor if self.plateau is not None else 1.0

    def memories(self) -> dict[str, NoiseEstimate | Abel | Plateau | Averaging | Swag]:
        """What it has that remembers, by the name of its link, in the chain's order."""
        specs = {
            "noise": self.noise,
            "abel": self.abel,
            "plateau": self.plateau,
            "averaging": self.averaging,
        }
        return {name: spec for name, spec in specs.items() if spec is not None}

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
    momentum: Setting = ZERO
    weight_decay: Setting = ZERO
    nesterov: bool = False
    coupling: Coupling = "l2"

    def links(self, plan: Plan) -> list[Link]:
        """The chain up to the learning rate; see `Optimizer.links`."""

        def trace(momentum):
            return optax.trace(decay=momentum, nesterov=self.nesterov)

        moments: list[Link] = []
        if not is_zero(self.momentum):
            moments.append(("momentum", scheduled(trace, plan, momentum=self.momentum)))
        return links(plan, self.lr, moments, self.weight_decay, self.coupling)

    def norm_rates(self, opt_state: optax.OptState) -> tuple[jax.Array, jax.Array]:
        """The effective learning rate, and the share of w that an update takes off it.

        Formula:
            η = lr / (1 − momentum),   the share is η · weight_decay       (coupling "l2")

        A gradient acts through the momentum buffer over 1 / (1 − momentum) updates; η is what it
        adds up to. Decay outside the buffer takes lr · weight_decay, or weight_decay.
        """
        found = hyperparams(opt_state)
        scales = math.prod(found.get(name, 1.0) for name in ("abel_scale", "plateau_scale"))
        rate = found["learning_rate"] * scales
        effective = rate / (1 - found.get("momentum", 0.0))
        per_decay = {"l2": effective, "times_lr": rate, "independent": jnp.asarray(scales)}
        return effective, per_decay[self.coupling] * found.get("weight_decay", 0.0)


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
    weight_decay: Setting = ZERO
    coupling: Coupling = "l2"

    def links(self, plan: Plan) -> list[Link]:
        """The chain up to the learning rate; see `Optimizer.links`."""

        def scale_by_adam(b1, b2):
            return optax.scale_by_adam(b1=b1, b2=b2, eps=self.eps)

        moments = ("moments", scheduled(scale_by_adam, plan, b1=self.b1, b2=self.b2))
        return links(plan, self.lr, [moments], self.weight_decay, self.coupling)


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

    def links(self, plan: Plan) -> list[Link]:
        """The factory's transformation, as `optimizer`; see `Optimizer.links`."""
        return [("optimizer", scheduled(self.factory, plan, **self.arguments))]

    def with_schedules(self, schedules: Mapping[str, Any]) -> Self:
        """See `Optimizer.with_schedules`; the names are the factory's."""
        return dataclasses.replace(self, arguments={**self.arguments, **schedules})

    def schedules(self) -> dict[str, Schedule]:
        """Its schedules in epochs, by the name of the factory's argument."""
        return {n: value for n, value in self.arguments.items() if isinstance(value, Schedule)}
