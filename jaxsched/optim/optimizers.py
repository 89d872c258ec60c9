"""Optimizer specs: SGD, Adam, AdamW or any Optax optimizer, with schedules in epochs."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import optax

from jaxsched.optim.chain import (
    ZERO,
    Coupling,
    Link,
    Setting,
    as_setting,
    couple_weight_decay,
    inject_schedules,
    is_zero,
)
from jaxsched.optim.fields import is_known_number, is_traced, require_fields
from jaxsched.optim.hyperparams import hyperparams
from jaxsched.optim.kernels import Which, mask_of
from jaxsched.optim.lr_factors import (
    LrFactors,
    factors_of,
    require_lr_factors,
    scale_by_factors,
    train_only,
)
from jaxsched.optim.ranges import require_in_range, require_schedules_in_range
from jaxsched.optim.stateful import Abel, Averaging, NoiseEstimate, Plateau, Swag
from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Product, Schedule


class EffectiveRates(NamedTuple):
    """How fast an update moves the weights along the gradient, and shrinks them."""

    lr: jax.Array  # f32[], the sum of a gradient's effects on this update and later ones
    shrinkage: jax.Array  # f32[], the share of a weight that the weight decay subtracts
    decays: Callable[[optax.Params], optax.Params] | None  # which weights; None for all


@dataclass(frozen=True)
class Optimizer:
    """Base class of optimizer specs: with the plan of a run, a spec becomes an Optax chain.

    Its schedules are functions of epochs; their times may have a unit of their own, as text (see
    `Plan.resolve`). Where a schedule is expected, a bare number becomes a `Constant` and any other
    function of epochs a `Function`.

    The stateful transformations have these names in the chain, in this order. `noise` comes first,
    where the updates still are the mean gradient. The others come last, outside the momentum
    buffer, so that a decay acts like a change of `lr`.

    Attributes:
        noise: estimates the gradient's noise scale.
        abel: decays the learning rate when the weight norm bounces.
        plateau: decays the learning rate when evaluations stop improving.
        averaging: keeps a mean of the weights, or a Gaussian. A schedule-free optimizer has a mean
            of its own and takes none.
        lr_factors: factors of the learning rate by layer, for finetuning: pairs of a pattern and a
            factor, such as `(("stem*", 0.0), ("stage*", 0.1))`. The first pattern that names a
            layer (`stage1_block1/conv1`), or one of its parameters (`head/bias`), counts; the
            others have the factor 1. It multiplies the whole update, so its weight decay too. The
            factor 0 freezes: no gradient, no weight decay and no buffer, and neither ABEL's norm
            nor the noise scale counts what is frozen. A frozen layer's batch-norm statistics are
            no weights; they go on following the data.

    Raises:
        ValueError: if a field has the wrong type or a number is out of its range.
    """

    noise: NoiseEstimate | None = field(default=None, kw_only=True)
    abel: Abel | None = field(default=None, kw_only=True)
    plateau: Plateau | None = field(default=None, kw_only=True)
    averaging: Averaging | Swag | None = field(default=None, kw_only=True)
    lr_factors: LrFactors = field(
        default=(), kw_only=True, metadata={"described": "unless default"}
    )

    def __post_init__(self):
        owner = type(self).__name__
        object.__setattr__(self, "lr_factors", require_lr_factors(owner, self.lr_factors))
        for attribute in dataclasses.fields(self):
            if attribute.type is Setting:
                value = as_setting(owner, attribute.name, getattr(self, attribute.name))
                object.__setattr__(self, attribute.name, value)
        require_fields(self)
        require_in_range(owner, self.schedules())

    def transformation(
        self, plan: Plan, evaluation_marks: Sequence[int] = ()
    ) -> optax.GradientTransformationExtraArgs:
        """Builds the Optax chain of a run, with schedules in updates.

        Args:
            plan: the run's plan.
            evaluation_marks: positions in the training data, in examples, at which the run
                evaluates; `plateau` observes at the first update that starts at or after each.

        Raises:
            ValueError: if a time does not fit into the run, or a schedule leaves its range: a
                learning rate or a weight decay below 0, a momentum above 1. Its `init` raises one
                if `lr_factors` name no layer.
        """
        require_schedules_in_range(type(self).__name__, self.schedules(), plan)
        # The order and the names are API: checkpoints hold them.
        links = self.links(plan)
        if self.lr_factors:
            links.append(("lr_factors", scale_by_factors(self.lr_factors)))
        if self.noise is not None:
            links.insert(0, ("noise", self.noise.transformation()))
        if self.abel is not None:
            links.append(("abel", self.abel.transformation(plan)))
        if self.plateau is not None:
            links.append(("plateau", self.plateau.transformation(plan, evaluation_marks)))
        if self.averaging is not None:
            links.append(("averaging", self.averaging.transformation(plan)))
        if self.lr_factors:
            links = train_only(type(self).__name__, self.lr_factors, links)
        return optax.named_chain(*links)

    def links(self, plan: Plan) -> list[Link]:
        """Builds the chain without the stateful transformations, with schedules in updates.

        The names of the links are API.
        """
        raise NotImplementedError

    def schedules(self) -> dict[str, Schedule]:
        """Returns the schedules in epochs, by the name of their field."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if isinstance(value, Schedule)}

    def stateful_specs(self) -> dict[str, NoiseEstimate | Abel | Plateau | Averaging | Swag]:
        """Returns the specs of its stateful transformations by name, in the chain's order."""
        specs = {
            "noise": self.noise,
            "abel": self.abel,
            "plateau": self.plateau,
            "averaging": self.averaging,
        }
        return {name: spec for name, spec in specs.items() if spec is not None}

    def factors_of(self, params: Any) -> Any:
        """Returns the factor of each parameter's learning rate, as a tree; see `lr_factors`."""
        return factors_of(self.lr_factors, params)

    @property
    def statistics_examples(self) -> int:
        """The number of training examples for the batch-norm statistics of an average.

        It is that of `averaging`. A chain that keeps an average without it, such as a schedule-free
        optimizer, has `Averaging`'s default.
        """
        return (self.averaging or Averaging).statistics_examples

    @property
    def lr_decay_factor(self) -> float:
        """The learning rate's factor at a decay of `abel` or else `plateau`; 1 without either."""
        if self.abel is not None:
            return self.abel.decay_factor
        return self.plateau.factor if self.plateau is not None else 1.0

    def effective_rates(self, opt_state: optax.OptState) -> EffectiveRates | None:
        """Returns how fast an update moves the weights along the gradient, and shrinks them.

        The rates are those of the update that made this state. None if the change of |w|² has no
        such terms, as for Adam.
        """
        del opt_state

    def with_schedules(self, schedules: Mapping[str, Any]) -> Self:
        """Returns the same optimizer with the schedules of these names replaced.

        Example:
            >>> import jaxsched as js
            >>> js.SGD(0.1, momentum=0.9).with_schedules({"lr": 0.5}).lr
            Constant(value=0.5)
        """
        return dataclasses.replace(self, **schedules)

    def with_lr_scaled_by(self, factor: float) -> Self:
        """Returns the same optimizer with its learning rate multiplied by a factor.

        Raises:
            ValueError: if the optimizer has no field `lr`.
        """
        if factor == 1:
            return self
        lr = self.schedules().get("lr")
        if lr is None:
            raise ValueError(
                "a batch size that grows instead of a learning rate that decays needs an optimizer "
                f"with a field lr, got {self}; use SGD, Adam or AdamW."
            )
        return self.with_schedules({"lr": Product((lr, Constant(factor)))})


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with heavy-ball momentum, Nesterov momentum or none.

    Formula:
        g ← ∇loss + weight_decay · w          (coupling "l2")
        m ← momentum · m + g
        w ← w − lr · m                        (Nesterov: w − lr · (g + momentum · m))

    The learning rate is applied outside the momentum buffer, as in torch's SGD: a lower one acts at
    once (in Keras it acts after about 1/(1 − momentum) updates). The links of the chain are named
    `weight_decay`, `momentum` and `learning_rate`; a weight decay or a momentum that is the
    constant 0 has no link, and so no buffer.

    The `coupling` says how the weight decay depends on the learning rate. The table shows what a
    weight w becomes in one update without a gradient, for w = 1, lr = 0.1 and weight_decay = 0.01,
    and what the rule means:

        "l2"           w·(1 − lr·wd) = 0.999, and momentum 0.9 makes it ten times that; the
                       decay is part of the gradient (torch's SGD; what the four papers use)
        "times_lr"     w·(1 − lr·wd) = 0.999, outside the momentum (AdamW's rule)
        "independent"  w·(1 − wd) = 0.990, whatever the learning rate is

    Attributes:
        lr: the learning rate, a schedule in epochs.
        momentum: the momentum, a schedule in epochs.
        weight_decay: the weight decay, a schedule in epochs.
        nesterov: whether the momentum is Nesterov's.
        coupling: "l2", "times_lr" or "independent".
        decay_mask: what decays: "all" parameters, as in the four papers, or "kernels" alone, which
            spares biases, norms' scales and embeddings.

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
    decay_mask: Which = field(default="all", metadata={"described": "unless default"})

    def links(self, plan: Plan) -> list[Link]:
        """Builds the chain up to the learning rate; see `Optimizer.links`."""

        def trace(momentum):
            return optax.trace(decay=momentum, nesterov=self.nesterov)

        moments: list[Link] = []
        if not is_zero(self.momentum):
            moments.append(("momentum", inject_schedules(trace, plan, momentum=self.momentum)))
        return couple_weight_decay(
            plan, self.lr, moments, self.weight_decay, self.coupling, self.decay_mask
        )

    def effective_rates(self, opt_state: optax.OptState) -> EffectiveRates:
        """Returns the effective learning rate, and the share of w that an update subtracts from it.

        Formula:
            η = lr / (1 − momentum),   the share is η · weight_decay       (coupling "l2")

        A gradient acts through the momentum buffer over 1 / (1 − momentum) updates; η is the sum of
        its effects. Decay outside the buffer subtracts lr · weight_decay ("times_lr") or
        weight_decay ("independent") instead.
        """
        found = hyperparams(opt_state)
        scales = math.prod(found.get(name, 1.0) for name in ("abel_scale", "plateau_scale"))
        lr = found["learning_rate"] * scales
        effective_lr = lr / (1 - found.get("momentum", 0.0))
        # The factor of the weight decay. The scales act on the whole update, so on the decay too.
        factors = {"l2": effective_lr, "times_lr": lr, "independent": jnp.asarray(scales)}
        shrinkage = factors[self.coupling] * found.get("weight_decay", 0.0)
        return EffectiveRates(effective_lr, shrinkage, mask_of(self.decay_mask))


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: the running mean of the gradient, divided by the root of its running mean square.

    Formula:
        m ← b1 · m + (1 − b1) · g,   v ← b2 · v + (1 − b2) · g²
        w ← w − lr · m̂ / (√v̂ + eps)            (^: divided by 1 − bᵗ)

    Attributes:
        lr: the learning rate, a schedule in epochs.
        b1: the decay of the mean, which is Adam's momentum; a schedule in epochs.
        b2: the decay of the mean square; a schedule in epochs.
        eps: keeps the quotient finite.
        weight_decay: the weight decay, a schedule in epochs.
        coupling: how the weight decay depends on the learning rate, see `SGD`; "times_lr" is AdamW.
        decay_mask: what decays, "all" parameters or "kernels" alone, see `SGD`.

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
    decay_mask: Which = field(default="all", metadata={"described": "unless default"})

    def __post_init__(self):
        super().__post_init__()
        if not is_traced(self.eps) and self.eps <= 0:
            raise ValueError(f"{type(self).__name__} needs eps above 0, got {self.eps}.")

    def links(self, plan: Plan) -> list[Link]:
        """Builds the chain up to the learning rate; see `Optimizer.links`."""

        def scale_by_adam(b1, b2):
            return optax.scale_by_adam(b1=b1, b2=b2, eps=self.eps)

        moments = ("moments", inject_schedules(scale_by_adam, plan, b1=self.b1, b2=self.b2))
        return couple_weight_decay(
            plan, self.lr, [moments], self.weight_decay, self.coupling, self.decay_mask
        )


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW: Adam with weight decay outside the moments, multiplied by the learning rate.

    Formula:
        w ← w − lr · (m̂ / (√v̂ + eps) + weight_decay · w)

    The attributes are those of `Adam`; only the defaults of weight decay and coupling differ.

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
    """Any Optax optimizer, given by its factory and arguments, which may be schedules.

    A schedule-free one, such as `optax.contrib.schedule_free_sgd`, trains at y. Its x, at which it
    is to be evaluated, stands wherever other runs have their average, see `averaged_params`.

    Attributes:
        factory: the function that makes the transformation, such as `optax.lion`.
        arguments: its keyword arguments; each `Schedule` among them is a function of epochs.

    Raises:
        ValueError: if the factory cannot be called with these arguments, or one of them that has a
            name of `SGD`'s or `Adam`'s, or is called `learning_rate`, is out of its range.

    Example:
        >>> import optax, jaxsched as js
        >>> lion = js.FromOptax(optax.lion, {"learning_rate": js.Cosine(1e-4, 10), "b1": 0.95})
        >>> plan = js.Plan((js.Phase(10, 10),), num_examples=100)
        >>> sorted(js.hyperparams(lion.transformation(plan).init(0.0)))
        ['b1', 'b2', 'learning_rate', 'weight_decay']
    """

    factory: Callable[..., optax.GradientTransformation]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        try:
            inspect.signature(self.factory).bind(**self.arguments)
        except TypeError as error:
            raise ValueError(
                "FromOptax needs a factory such as optax.lion and its keyword arguments, got "
                f"{self.factory!r} and {self.arguments!r}: {error}."
            ) from None
        super().__post_init__()
        if self.arguments.get("learning_rate") is not None:
            as_setting("FromOptax", "learning_rate", self.arguments["learning_rate"])
        require_in_range("FromOptax", self.arguments)
        for name, value in self.arguments.items():
            if is_known_number(value) and math.isnan(value):
                raise ValueError(f"FromOptax needs {name} to be a number, got {value}.")

    def links(self, plan: Plan) -> list[Link]:
        """Builds the factory's transformation, named `optimizer`; see `Optimizer.links`."""
        return [("optimizer", inject_schedules(self.factory, plan, **self.arguments))]

    def with_schedules(self, schedules: Mapping[str, Any]) -> Self:
        """Returns the same optimizer with the factory's arguments of these names replaced."""
        return dataclasses.replace(self, arguments={**self.arguments, **schedules})

    def schedules(self) -> dict[str, Schedule]:
        """Returns the schedules in epochs, by the name of the factory's argument."""
        return {n: value for n, value in self.arguments.items() if isinstance(value, Schedule)}
