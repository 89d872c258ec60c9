"""The meeting of processes that were started by hand, before JAX connects them.

JAX aborts a process that waits in vain with a stack of C++, crashes where its port is in use, and
says neither what it waits for nor that two processes have one number. So the processes first meet
at the same address in a protocol of a line each: every other process sends its numbers to the first
one, which answers "go" to all once all are there.
"""

import contextlib
import os
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

_GREETING = "jaxsched"
_GO = "go"
# How long the meeting goes on silently, and how long a look at the network takes at most.
_NEWS_SECONDS, _LOOK_SECONDS = 15.0, 0.5


class Address(NamedTuple):
    """The address at which the processes meet."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parses text such as "10.0.0.1:1234" or "[::1]:1234", and looks the host up.

        Raises:
            ValueError: when the text has another form, or the host is not known.

        Example:
            >>> from jaxsched.train.distributed.meeting import Address
            >>> Address.parse("127.0.0.1:1234")
            Address(host='127.0.0.1', port=1234)
        """
        found = re.fullmatch(r"\[?([^/@\s]+?)\]?:(\d{1,5})", text)
        if found is None or not 0 < int(found[2]) < 2**16:
            raise ValueError(
                "expected a coordinator as HOST:PORT with a port within 1 … 65535, such as "
                f"10.0.0.1:1234, got {text!r}."
            )
        address = cls(found[1], int(found[2]))
        try:
            socket.getaddrinfo(*address)
        except (OSError, UnicodeError) as error:
            raise ValueError(
                f"cannot find the coordinator's host {address.host!r} ({error}); give the name or "
                "the IP address of the machine of process 0."
            ) from error
        return address


class Meeting:
    """Lets each of several processes wait until all are there.

    Args:
        address: where they meet, which is a port of the machine of process 0.
        processes: their number.
        process_id: the number of this process, from 0.
        say: prints a line about what is waited for.
        seconds: how long to wait.
    """

    def __init__(
        self,
        address: Address,
        processes: int,
        process_id: int,
        *,
        say: Callable[[str], None],
        seconds: float,
    ):
        self._address, self._processes, self._process_id = address, processes, process_id
        self._say, self._seconds = say, seconds
        self._end = time.monotonic() + seconds
        self._next_news = time.monotonic()

    def wait(self) -> None:
        """Waits for all processes.

        Raises:
            ValueError: when the processes were started with numbers that do not fit together, or
                the port is in use.
            TimeoutError: when some are still missing in the end; names them.
        """
        if self._process_id == 0:
            self._gather()
        else:
            self._join()

    def _gather(self) -> None:
        """Lets the others come in, until all are there."""
        with _listen(self._address.port) as listener, contextlib.ExitStack() as stack:
            listener.settimeout(_LOOK_SECONDS)
            present: dict[int, socket.socket] = {}
            while missing := self._missing(present):
                numbers = ", ".join(map(str, missing))
                self._wait_on(f"process {numbers} to connect to port {self._address.port}")
                try:
                    connection = stack.enter_context(listener.accept()[0])
                except TimeoutError:
                    continue
                problem = self._admit(connection, present)
                if problem:
                    for other in (connection, *present.values()):
                        _send(other, problem)
                    raise ValueError(problem)
            for connection in present.values():
                _send(connection, _GO)

    def _missing(self, present: dict[int, socket.socket]) -> list[int]:
        """Returns who is missing; takes those that have gone again out of those present."""
        for i in [i for i, connection in present.items() if _is_closed(connection)]:
            del present[i]
        return [i for i in range(1, self._processes) if i not in present]

    def _admit(self, connection: socket.socket, present: dict[int, socket.socket]) -> str:
        """Adds a process to those present; returns why it does not fit, "" if it does."""
        greeting = re.fullmatch(rf"{_GREETING} (\d+) (\d+)", _receive(connection, 5.0) or "")
        if greeting is None:
            return ""  # something else, which looks for open ports
        processes, process_id = int(greeting[1]), int(greeting[2])
        if processes != self._processes:
            return (
                f"process {process_id} was started with --processes {processes} and process 0 with "
                f"--processes {self._processes}; start all of them with the same number."
            )
        if process_id == 0 or (process_id in present and not _is_closed(present[process_id])):
            return (
                f"two processes were started with --process-id {process_id}; give each its own "
                f"number, from 0 to {processes - 1}."
            )
        present[process_id] = connection
        return ""

    def _join(self) -> None:
        """Finds process 0 and waits for its word."""
        host, port = self._address
        while True:
            self._wait_on(f"process 0 to listen at {host}:{port}")
            connection = _connect(self._address)
            if connection is None:
                time.sleep(_LOOK_SECONDS)
                continue
            with connection:
                _send(connection, f"{_GREETING} {self._processes} {self._process_id}")
                answer = None
                while answer is None:
                    self._wait_on(f"the other processes, with process 0 at {host}:{port}")
                    answer = _receive(connection, _LOOK_SECONDS)
            if answer == _GO:
                return
            if answer.isprintable() and answer:
                raise ValueError(answer)
            if answer:
                raise ValueError(
                    f"what listens at {host}:{port} is no process that waits for others; give the "
                    "address of process 0, and start all processes anew."
                )
            time.sleep(_LOOK_SECONDS)  # process 0 has gone; it may be started again

    def _wait_on(self, what: str) -> None:
        """Says now and then what is waited for; raises a TimeoutError in the end."""
        now = time.monotonic()
        if now >= self._end:
            raise TimeoutError(
                f"process {self._process_id} has waited {self._seconds:.0f} s for {what}; start "
                "all processes within that time, with the same --coordinator, and see that no "
                "firewall closes the port."
            )
        if now >= self._next_news:
            self._say(
                f"process {self._process_id} waits for {what}, {self._end - now:.0f} s at most"
            )
            self._next_news = now + _NEWS_SECONDS


def _listen(port: int) -> socket.socket:
    """Listens on all of this machine's addresses, as JAX will.

    Raises:
        ValueError: when the port is in use, or may not be used.
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise ValueError(
            f"process 0 cannot listen on port {port} of this machine ({_reason(error)}); give a "
            "--coordinator with another port to all processes."
        ) from error


def _connect(address: Address) -> socket.socket | None:
    """Returns a connection to what listens there; None if nothing does."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        connection = stack.enter_context(socket.create_connection(address, timeout=2.0))
        # Linux may connect a socket to itself where nothing listens on a port that it gives away.
        if connection.getsockname() != connection.getpeername():
            stack.pop_all()
            return connection
    return None


def _reason(error: OSError) -> str:
    """The system's own words, without those that Python adds about the address."""
    return str(error) if error.errno is None else os.strerror(error.errno)


def _send(connection: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):  # a process that has gone is found missing by JAX
        connection.settimeout(_LOOK_SECONDS)
        connection.sendall(f"{line}\n".encode())


def _receive(connection: socket.socket, seconds: float) -> str | None:
    """Returns the next line, "" if the other side has gone, or None if none has come in time."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1024).decode(errors="replace").removesuffix("\n")
    except (TimeoutError, BlockingIOError):
        return None
    except OSError:
        return ""


def _is_closed(connection: socket.socket) -> bool:
    """Whether the other side has gone; no process sends more than its first line."""
    return _receive(connection, 0) == ""
