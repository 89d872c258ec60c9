"""A stand-in for the home folder of a user who has none, as in many containers."""

import os
import tempfile
from pathlib import Path

_stand_ins: list[tempfile.TemporaryDirectory] = []


def stand_in_home() -> None:
    """Gives libraries that ask for a home folder on import a temporary one, if there is none."""
    try:
        Path.home()
    except RuntimeError:  # neither HOME nor an entry in the table of users
        _stand_ins.append(tempfile.TemporaryDirectory(prefix="jaxsched-home-"))
        os.environ["HOME"] = _stand_ins[-1].name


def has_stand_in() -> bool:
    """Returns whether the home folder is such a stand-in, which ends with the process."""
    return bool(_stand_ins)
