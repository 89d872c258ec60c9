"""Reports what a command has made, also when an error ends it."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def reported(report: Callable[[], None]) -> Iterator[None]:
    """Context manager: calls `report` at its end, whatever ended the block.

    An error of the report never hides the one that ended the block, such as a full disk: it is
    printed before. A command that another process kept from starting has nothing to report.

    Args:
        report: prints and writes the results so far.
    """
    try:
        yield
    except BlockingIOError:
        raise
    except BaseException:
        try:
            report()
        except Exception as second:
            print(f"no report: {second}", file=sys.stderr)
        raise
    report()
