"""Signs of life of processes that train together.

JAX has such signs too, but aborts a process with a stack of C++ when those of another stop. These
are waited for less long, so that there are words first.
"""

import threading

from jaxsched.train.distributed.store import count, leave_text, texts

_SIGNS, _LEFT = "jaxsched/signs", "left"


class Presence:
    """Shows the others that this process is there, and finds those that have gone.

    Silence is counted in looks, not in seconds: a process that was held up itself, and so could not
    look, does not take the others to be gone.

    Args:
        looks: the number of looks without a new sign, after which a process has gone.
    """

    def __init__(self, looks: int):
        self._looks = looks
        self._signs = 0
        self._has_left, self._change = False, threading.Lock()
        self._unchanged: dict[int, tuple[object, int]] = {}

    def show(self) -> None:
        """Leaves a new sign of this process; waits while the store does not answer."""
        with self._change:
            if not self._has_left:
                leave_text(_SIGNS, str(self._signs + 1))
        self._signs += 1

    def leave(self) -> None:
        """Says that this process needs no more signs."""
        with self._change:
            self._has_left = True
            leave_text(_SIGNS, _LEFT)

    def left(self) -> set[int]:
        """Returns the numbers of the processes that have left."""
        return {number for number, sign in texts(_SIGNS).items() if sign == _LEFT}

    def gone(self) -> list[int]:
        """Looks at the signs of all; returns the numbers of those that have gone."""
        signs = texts(_SIGNS)
        return [
            number
            for number in range(count())
            if signs.get(number) != _LEFT and self._is_silent(number, signs.get(number))
        ]

    def store_has_gone(self) -> bool:
        """Looks whether `show`, which another thread calls, waits in vain."""
        return self._is_silent(0, self._signs)

    def _is_silent(self, number: int, sign: object) -> bool:
        last, looks = self._unchanged.get(number, (sign, 0))
        self._unchanged[number] = (sign, looks + 1 if sign == last else 0)
        return self._unchanged[number][1] >= self._looks
