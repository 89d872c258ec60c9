"""The store of texts that JAX's coordinator, a part of process 0, keeps for processes that train
together; each process leaves one text in a folder.
"""

from typing import Any

import jax
from jax._src import distributed  # JAX has no public name for the store; Orbax uses this one

from jaxsched.train.distributed.meeting import Address

# What is raised when the store cannot be reached, as when process 0 has gone.
StoreError = jax.errors.JaxRuntimeError


def own_number() -> int:
    """Returns the number of this process, from 0."""
    return distributed.global_state.process_id


def address() -> Address:
    """Returns the address of process 0, where the store is."""
    return Address.parse(distributed.global_state.coordinator_address or "")


def count() -> int:
    """Returns the number of processes that share the store; 1 where there is none."""
    return 1 if _client() is None else distributed.global_state.num_processes


def leave_text(folder: str, text: str, number: int | None = None) -> None:
    """Writes the text of a process, of this one unless another's number is given."""
    key = f"{folder}/{own_number() if number is None else number}"
    _client().key_value_set(key, text, allow_overwrite=True)


def texts(folder: str) -> dict[int, str]:
    """Returns the texts in a folder by their processes' numbers."""
    entries = _client().key_value_dir_get(folder)
    return dict(sorted((int(key.rpartition("/")[2]), text) for key, text in entries))


def _client() -> Any:
    return distributed.global_state.client
