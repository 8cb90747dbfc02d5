"""What is imported when somebody first uses it: heavy libraries, and the names of a package that live below it.

Keras takes seconds to import; OpenCV, PyAV and h5py together take half a second. A command that prints its help, or
finds that nothing is to be done, needs few of them, and ``from pipeline.lazy import cv2`` costs nothing. NumPy takes a
tenth of a second, half of what a help takes: what a command imports for its options takes it from here as well.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    import cv2
    import h5py
    import jinja2
    import keras
    import matplotlib
    import numpy as np
    from keras import layers, ops

__all__ = ["av", "cv2", "h5py", "jinja2", "keras", "layers", "lazy_names", "matplotlib", "np", "ops"]


class _LazyModule(ModuleType):
    """Stands for a module; the first use of a name of it imports it."""

    def __getattr__(self, name: str) -> Any:
        if "module" not in self.__dict__:
            module = importlib.import_module(self.__name__)
            if self.__name__ == "av":
                # Damage is reported by us, once per video. Any level but None sends FFmpeg's errors through Python, and
                # a decoder thread that waits for the interpreter while that waits for the thread hangs for ever.
                module.logging.set_level(None)
            self.module = module
            if self.__name__ == "numpy":  # from now on as quick as the module itself
                self.__dict__.update({key: value for key, value in vars(module).items() if key not in self.__dict__})
        return getattr(self.module, name)


if not TYPE_CHECKING:
    av, cv2, h5py, jinja2, keras, matplotlib = map(_LazyModule, ("av", "cv2", "h5py", "jinja2", "keras", "matplotlib"))
    np = _LazyModule("numpy")
    layers, ops = _LazyModule("keras.layers"), _LazyModule("keras.ops")


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
