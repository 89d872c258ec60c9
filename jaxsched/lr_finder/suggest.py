"""Learning rates suggested by the curves of a range test: by every rule, over seeds."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.lr_finder.rules import RULES
from jaxsched.lr_finder.trend import MIN_POINTS, find_trend
from jaxsched.text import aligned_columns

# The rule whose median over seeds is recommended as the maximum of a 1cycle run.
MAXIMUM_RULE = "bottom"
# Smith starts one cycle at a tenth or a twentieth of its maximum (arXiv 1803.09820, section 4.1).
MINIMUM_SHARE = 0.1

# Learning rates within this factor train about equally well.
AGREEMENT_FACTOR = 3.0
# Beyond this factor the two rules for the end of the improvement disagree.
_DISAGREEMENT_FACTOR = 10.0


@dataclass(frozen=True)
class Suggestion:
    """The values that one rule reads off the curves.

    Attributes:
        values: the value for each curve; None where the rule has no answer.
    """

    values: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        """The answers, ascending."""
        return tuple(sorted(value for value in self.values if value is not None))

    @property
    def median(self) -> float | None:
        """The median of the answers, on a log axis; None unless most curves have an answer."""
        if 2 * len(self.known) <= len(self.values):
            return None
        return math.exp(statistics.median(map(math.log, self.known)))

    @property
    def lowest(self) -> float | None:
        """The lowest answer."""
        return self.known[0] if self.known else None

    @property
    def highest(self) -> float | None:
        """The highest answer."""
        return self.known[-1] if self.known else None

    @property
    def spread(self) -> float | None:
        """The factor between the highest and the lowest answer; None for fewer than 2 answers."""
        return self.known[-1] / self.known[0] if len(self.known) > 1 else None


@dataclass(frozen=True, eq=False)
class Suggestions:
    """The learning rates that the curves of one range test suggest.

    Attributes:
        curves: one curve a seed, of the same test.
        by_rule: each rule's answers, by its name.
        statements: sentences to read before one of the answers is used.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> rates = np.geomspace(1e-5, 10, 200)
        >>> losses = 2.3 - 1.5 / (1 + (0.01 / rates) ** 2) + rates**4
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (3, 200))
        >>> print(js.suggest([js.RangeCurve(rates, losses + drawn) for drawn in noise]))
        rule             median    lowest   highest  spread  seeds
        steepest        0.01035  0.009011   0.01035     1.1    3/3
        valley          0.02073   0.02073   0.02553     1.2    3/3
        minimum_tenth   0.01552   0.01552   0.02524     1.6    3/3
        smith_max        0.7149     0.667    0.7149     1.1    3/3
        smith_min      0.002248  0.002097  0.002583     1.2    3/3
        bottom           0.3331    0.3218    0.4248     1.3    3/3
        Within a factor of 3, smith_max agrees with bottom.
    """

    curves: tuple[RangeCurve, ...]
    by_rule: dict[str, Suggestion]
    statements: tuple[str, ...]

    @property
    def maximum(self) -> float | None:
        """The recommended maximum learning rate of a 1cycle run: the median of `MAXIMUM_RULE`."""
        return self.by_rule[MAXIMUM_RULE].median

    @property
    def minimum(self) -> float | None:
        """The learning rate to start that run at: a tenth of the maximum."""
        return None if self.maximum is None else MINIMUM_SHARE * self.maximum

    @property
    def agreeing(self) -> tuple[str, ...]:
        """The names of the other rules whose median is within a factor of 3 of the maximum."""
        return tuple(
            name
            for name, suggestion in self.by_rule.items()
            if name != MAXIMUM_RULE and _factor(suggestion.median, self.maximum) <= AGREEMENT_FACTOR
        )

    @property
    def reason(self) -> str:
        """Why the recommended maximum lies where it lies, or why there is none, as sentences."""
        if self.maximum is None:
            return self.statements[0]
        lowest, end = self.by_rule["minimum_tenth"].median, self.by_rule["smith_max"].median
        assert lowest is not None and end is not None  # the rule has answers where these have
        has_accuracy = any(curve.accuracies is not None for curve in self.curves)
        worse = "the loss rises, or the accuracy falls," if has_accuracy else "the loss rises"
        of_seeds = f", the median of {len(self.curves)} seeds" if len(self.curves) > 1 else ""
        return (
            f"Recommended maximum {self.maximum:.3g}, by the rule {MAXIMUM_RULE}{of_seeds}: the "
            "middle, on the log axis, of the curve's flat bottom. The smoothed loss is lowest at "
            f"{10 * lowest:.3g}, up to which a larger rate still helps, and {worse} from "
            f"{end:.3g} on."
        )

    def rows(self) -> list[list[str]]:
        """The cells of a table with a row for each rule; the first row is its heading."""
        rows = [["rule", "median", "lowest", "highest", "spread", "seeds"]]
        for name, suggestion in self.by_rule.items():
            numbers = (suggestion.median, suggestion.lowest, suggestion.highest)
            known = f"{len(suggestion.known)}/{len(suggestion.values)}"
            rows.append([name, *map(_text, numbers), _text(suggestion.spread, ".2g"), known])
        return rows

    def table(self) -> str:
        """A text table with a row for each rule, and the statements below it."""
        return "\n".join([aligned_columns(self.rows()), *self.statements])

    def as_dict(self) -> dict[str, Any]:
        """The suggestions as plain data, for JSON."""
        rules = {
            name: {
                "values": list(suggestion.values),
                "median": suggestion.median,
                "lowest": suggestion.lowest,
                "highest": suggestion.highest,
                "spread": suggestion.spread,
            }
            for name, suggestion in self.by_rule.items()
        }
        return {
            "seeds": [curve.seed for curve in self.curves],
            "maximum": self.maximum,
            "maximum_rule": MAXIMUM_RULE,
            "minimum": self.minimum,
            "rules": rules,
            "agreeing": list(self.agreeing),
            "statements": list(self.statements),
        }

    def __str__(self) -> str:
        return self.table()


def suggest(curves: RangeCurve | Sequence[RangeCurve]) -> Suggestions:
    """Applies every rule to the curves, and says where their answers are not to be trusted.

    Args:
        curves: the curves of one test with different seeds; or a single curve.

    Raises:
        ValueError: when there is no curve.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> rates = np.geomspace(1e-5, 10, 200)
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 200)
        >>> flat = js.suggest(js.RangeCurve(rates, 2.3 + noise))
        >>> flat.maximum is None
        True
        >>> print(flat.statements[0].replace(": ", ":\\n").replace(". ", ".\\n"))
        No learning rate is suggested:
        from 1e-05 to 10 the smoothed loss improves by 0.02, within the noise of 0.098 an update.
        Widen the range, take more updates, or use larger batches.
    """
    curves = (curves,) if isinstance(curves, RangeCurve) else tuple(curves)
    if not curves:
        raise ValueError("suggest needs at least one curve, got none; run a range test first.")
    by_rule = {
        name: Suggestion(tuple(rule(curve) for curve in curves)) for name, rule in RULES.items()
    }
    suggestions = Suggestions(curves, by_rule, statements=())
    return dataclasses.replace(suggestions, statements=tuple(_statements(suggestions)))


def _statements(suggestions: Suggestions) -> list[str]:
    """Sentences on how far to trust the suggestions, the most serious first."""
    statements = [
        _state_flatness(suggestions),
        _state_open_end(suggestions),
        _state_spread_of_seeds(suggestions),
        _state_disagreement(suggestions),
        _state_agreement(suggestions),
    ]
    return [statement for statement in statements if statement]


def _state_flatness(suggestions: Suggestions) -> str:
    curves = suggestions.curves
    long_enough = [trend for curve in curves if (trend := find_trend(curve)) is not None]
    if 2 * sum(not trend.is_flat for trend in long_enough) > len(curves):
        return ""
    low, high = curves[0].values[0], curves[0].values[-1]
    if 2 * len(long_enough) <= len(curves):
        return _state_shortness(curves, low, high)
    clearest = max((t for t in long_enough if t.is_flat), key=lambda trend: trend.improvement)
    return (
        f"No learning rate is suggested: from {low:.3g} to {high:.3g} the smoothed loss improves "
        f"by {clearest.improvement:.2g}, within the noise of {clearest.noise:.2g} an update. "
        "Widen the range, take more updates, or use larger batches."
    )


def _state_shortness(curves: Sequence[RangeCurve], low: float, high: float) -> str:
    if all(len(curve.losses) < MIN_POINTS and curve.diverged_at is None for curve in curves):
        return (
            f"No learning rate is suggested: a rule needs at least {MIN_POINTS} updates, got "
            f"{len(curves[0].losses)}; go on with the test, or take more updates."
        )
    fix = f"Start the range lower than {low:.3g}" if low > 0 else f"End it lower than {high:.3g}"
    return (
        f"No learning rate is suggested: the losses rise for good within {MIN_POINTS} updates. "
        f"{fix}, or take more updates."
    )


def _state_open_end(suggestions: Suggestions) -> str:
    open_ended = [
        curve
        for curve in suggestions.curves
        if (trend := find_trend(curve)) is not None
        and not trend.is_flat
        and trend.last_at_bottom is None
    ]
    if not open_ended:
        return ""
    high = open_ended[0].values[-1]
    return (
        f"The loss is still at its lowest at the highest learning rate, {high:.3g}, for "
        f"{len(open_ended)} of {len(suggestions.curves)} seeds: raise high."
    )


def _state_spread_of_seeds(suggestions: Suggestions) -> str:
    if len(suggestions.curves) == 1:
        return "This is one run (n=1): a few seeds would show the spread."
    spread = suggestions.by_rule[MAXIMUM_RULE].spread
    if spread is None or spread <= AGREEMENT_FACTOR:
        return ""
    return (
        f"The seeds disagree: {MAXIMUM_RULE} differs by a factor of {spread:.2g} between them. "
        "Take more updates or use larger batches, and take the median of more seeds."
    )


def _state_disagreement(suggestions: Suggestions) -> str:
    """Compares the two rules for the end of the improvement."""
    lowest = suggestions.by_rule["minimum_tenth"].median
    end = suggestions.by_rule["smith_max"].median
    if lowest is None or end is None or _factor(10 * lowest, end) <= _DISAGREEMENT_FACTOR:
        return ""
    return (
        f"The rules for the highest learning rate disagree: the loss is lowest at "
        f"{10 * lowest:.3g}, but rises only from {end:.3g} on. Compare short runs at both."
    )


def _state_agreement(suggestions: Suggestions) -> str:
    if suggestions.maximum is None:
        return ""
    others = suggestions.agreeing
    if not others:
        return f"No other rule is within a factor of {AGREEMENT_FACTOR:g} of {MAXIMUM_RULE}."
    agree = "agrees" if len(others) == 1 else "agree"
    return (
        f"Within a factor of {AGREEMENT_FACTOR:g}, {' and '.join(others)} {agree} with "
        f"{MAXIMUM_RULE}."
    )


def _factor(one: float | None, other: float | None) -> float:
    """The factor between two values, at least 1; infinite if one is missing."""
    if one is None or other is None:
        return math.inf
    return max(one / other, other / one)


def _text(value: float | None, form: str = ".4g") -> str:
    return "" if value is None else format(value, form)
