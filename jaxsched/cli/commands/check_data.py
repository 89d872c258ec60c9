"""`jaxsched check-data`: can every image be read?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckData:
    """Reads every image that an experiment trains and evaluates on, and lists the broken ones.

    The exit code is 1 if there are any.

    Any field of the experiment can be set after the config file;
    `jaxsched check-data CONFIG --help` lists them.
    """

    read_workers: int = 0
    """The number of processes that read; by default this process does it, in threads."""
