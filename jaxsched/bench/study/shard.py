"""Parts of a study, for the tasks of a job array."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Run = TypeVar("Run")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a study, such as one task of a job array runs.

    Attributes:
        number: which part it is, counted from 1.
        count: how many parts there are.

    Raises:
        ValueError: if the number is not from 1 to the count.
    """

    number: int
    count: int

    def __post_init__(self):
        if not 1 <= self.number <= self.count:
            raise ValueError(
                f"a shard needs a number from 1 to their count, such as 1/{max(self.count, 1)}, "
                f"got {self.number}/{self.count}."
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parses text such as "3/16".

        Raises:
            ValueError: if the text has another form, or if there is no such part.

        Example:
            >>> from jaxsched.bench import Shard
            >>> Shard.parse("3/16")
            Shard(number=3, count=16)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise ValueError(f"a shard needs the form NUMBER/COUNT, such as 3/16, got {text!r}.")
        return cls(int(found[1]), int(found[2]))

    def select(self, runs: Sequence[Run], costs: Sequence[float]) -> list[Run]:
        """Returns the runs of this part, in their order. Each run belongs to exactly one part.

        The runs are dealt out from the most expensive one down, each to the part with the lowest
        cost so far. So the parts cost about the same: the most expensive one costs at most 4/3 of
        what it costs in the best division. Each part computes the same division independently.

        Args:
            runs: the runs of the study.
            costs: the cost of each run, in any unit.

        Source:
            Graham, "Bounds on multiprocessing timing anomalies" (1969).

        Example:
            >>> from jaxsched.bench import Shard
            >>> [Shard(k, 2).select("abcd", [5, 1, 3, 2]) for k in (1, 2)]
            [['a', 'b'], ['c', 'd']]
        """
        loads, selected = [0.0] * self.count, []
        for index in sorted(range(len(runs)), key=lambda i: -costs[i]):
            lightest = min(range(self.count), key=loads.__getitem__)
            loads[lightest] += costs[index]
            if lightest == self.number - 1:
                selected.append(index)
        return [runs[index] for index in sorted(selected)]


WHOLE = Shard(1, 1)
