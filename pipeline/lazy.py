"""Names of a package that are imported when somebody first uses them: importing the package itself costs nothing.

Keras takes seconds to import, OpenCV and pandas half a second; a command that prints its help needs none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names live in modules below it.

    Args:
        package: its ``__name__``.
        homes: by module, relative to the package: the names that the package takes from it.
    """
    home = {name: f"{package}.{module}" for module, names in homes.items() for name in names}

    def getattr_(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"{package} has no {name!r}; it has {', '.join(sorted(home))}")
        return getattr(importlib.import_module(home[name]), name)

    return getattr_, lambda: sorted(home)
