"""Parts of a study, for as many machines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Run = TypeVar("Run")


@dataclass(frozen=True)
class Shard:
    """The k-th of n parts of a study, counted from 1.

    Attributes:
        number: k.
        count: n.

    Raises:
        ValueError: when there is no such part.
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
        """The part that is meant by text such as "3/16".

        Raises:
            ValueError: when the text is of another form, or there is no such part.

        Example:
            >>> from jaxsched.bench import Shard
            >>> Shard.parse("3/16")
            Shard(number=3, count=16)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise ValueError(f"a shard needs the form NUMBER/COUNT, such as 3/16, got {text!r}.")
        return cls(int(found[1]), int(found[2]))

    def of(self, runs: Sequence[Run], costs: Sequence[float]) -> list[Run]:
        """This part of the runs, in their order; all parts together are all of them.

        The dearest run that is left goes to the part that has least, so that parts cost about the
        same: at most 4/3 of the best division. Every part finds the same division by itself.

        Args:
            runs: of the study.
            costs: what each takes, in any unit.

        Source:
            Graham, "Bounds on multiprocessing timing anomalies" (1969).

        Example:
            >>> from jaxsched.bench import Shard
            >>> [Shard(k, 2).of("abcd", [5, 1, 3, 2]) for k in (1, 2)]
            [['a', 'b'], ['c', 'd']]
        """
        loads, mine = [0.0] * self.count, []
        for index in sorted(range(len(runs)), key=lambda i: -costs[i]):
            least = min(range(self.count), key=loads.__getitem__)
            loads[least] += costs[index]
            if least == self.number - 1:
                mine.append(index)
        return [runs[index] for index in sorted(mine)]


WHOLE = Shard(1, 1)
