"""Words for a process that cannot say them itself, because it was killed or has crashed.

JAX aborts a process at once when process 0 has gone, and no Python runs before that. So a small
process of its own says the words as soon as the pipe to it closes without a farewell.
"""

import subprocess
import sys

from jaxsched.train.distributed.meeting import Address

_SPEAKER = """
import socket, sys
host, port, main_has_gone, this_has_gone = sys.argv[1:]
if not sys.stdin.read():
    words = this_has_gone
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except OSError:
        words = main_has_gone
    print(words, file=sys.stderr)
"""


class LastWords:
    """Starts the process that speaks.

    Args:
        main: the address of process 0.
        main_has_gone: what is printed on stderr when process 0 listens there no more.
        this_has_gone: what is printed when it does.
    """

    def __init__(self, main: Address, main_has_gone: str, this_has_gone: str):
        program = [sys.executable, "-I", "-S", "-c", _SPEAKER]
        self._speaker = subprocess.Popen(
            [*program, main.host, str(main.port), main_has_gone, this_has_gone],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )

    def farewell(self) -> None:
        """Leaves the words unsaid."""
        self._speaker.communicate(b"-")
