"""Pillow's settings, which a script may change, for processes that read in its place."""

import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple


class PillowSettings(NamedTuple):
    """The settings of Pillow in a process: limits such as MAX_IMAGE_PIXELS, and further formats.

    Example:
        >>> from PIL import Image
        >>> from jaxsched.data.transforms.pillow_settings import PillowSettings
        >>> PillowSettings.of_this_process().values["PIL.Image", "MAX_IMAGE_PIXELS"]
        89478485
    """

    values: dict[tuple[str, str], Any]  # by module and name
    formats: dict[str, tuple[Any, Any]]  # what opens a format and what recognises it
    extensions: dict[str, str]  # the format of each suffix

    @classmethod
    def of_this_process(cls) -> "PillowSettings":
        """Returns the settings as they are now; none where Pillow is not in use."""
        if "PIL.Image" not in sys.modules:
            return cls({}, {}, {})
        from PIL import Image

        values = {
            (module, name): value
            for module, loaded in sorted(sys.modules.items())
            if module.startswith("PIL.") and isinstance(loaded, ModuleType)
            for name, value in vars(loaded).items()
            if name.isupper() and isinstance(value, bool | int | float | str | None)
        }
        # Pillow's own formats are registered anyway.
        formats = {
            kind: opener
            for kind, opener in Image.OPEN.items()
            if not getattr(opener[0], "__module__", "").startswith("PIL.")
        }
        extensions = {suffix: kind for suffix, kind in Image.EXTENSION.items() if kind in formats}
        return cls(values, formats, extensions)

    def apply(self) -> None:
        """Makes these the settings of this process."""
        if not self.values:
            return
        from PIL import Image

        for (module, name), value in self.values.items():
            loaded = importlib.import_module(module)
            if getattr(loaded, name, None) != value:
                setattr(loaded, name, value)
        for kind, (factory, accept) in self.formats.items():
            Image.register_open(kind, factory, accept)
        for suffix, kind in self.extensions.items():
            Image.register_extension(kind, suffix)
