"""Tracking of runs: their records, the environment they ran in, and progress on the terminal.

A name is imported when it is first used; `__init__.pyi` lists them all. So a loop that knows no JAX
can write records: claim.py, fields.py, machine.py, own_loop.py, record_writer.py, records.py and
loggers/ import none.
"""

from jaxsched.extras import require_extra
from jaxsched.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, lambda: require_extra("jaxsched.tracking", "train", "flax", "rich")
)
