"""Optional dependencies, which `pip install 'jaxsched[EXTRA]'` brings."""

import importlib


def require_extra(user: str, extra: str, *modules: str) -> None:
    """Imports optional modules, so that a missing one names the extra that brings it.

    Args:
        user: what needs the modules, as the message names it.
        extra: the name of the extra that brings all of them.
        modules: their names in an import statement.

    Raises:
        ImportError: when one of them, or a package that it needs itself, is not installed.

    Example:
        >>> from jaxsched.extras import require_extra
        >>> try:
        ...     require_extra("This example", "train", "json", "no_such_module")
        ... except ImportError as error:
        ...     print(error)
        This example needs no_such_module, which the extra [train] brings:
        pip install 'jaxsched[train]'
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Any other ImportError is of a module that is there but broken: no extra mends it.
            raise ImportError(
                f"{user} needs {error.name}, which the extra [{extra}] brings: "
                f"pip install 'jaxsched[{extra}]'",
                name=error.name,
            ) from error
