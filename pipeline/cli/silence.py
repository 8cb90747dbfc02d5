"""Libraries as they are to start: their messages off the terminal, so that only our lines are on it, and no settings
of the working folder, which may hold anybody's files."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object  # they only say what there is to be done, and --help would wait for them

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "ABSL_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "ERROR",
    "OPENCV_LOG_LEVEL": "SILENT",
}
_LEFT = "Can't decrement id ref count"


def quieten() -> None:
    """Silence TensorFlow, OpenCV and gRPC from now on; call it before they are imported.

    What the environment says is overruled: JAX sets a louder level in it for every process that comes after.
    """
    os.environ.update(ENVIRONMENT)
    # TensorFlow's libraries write to standard error before any setting of theirs is read, so nothing else helps.
    _import_within("tensorflow", muted)


def quieten_leftovers() -> None:
    """Say nothing of files that HDF5 cannot close because the disk is full: the error itself is told already.

    h5py prints them as a traceback and as an exception that nobody can catch.
    """
    raised, unraisable = sys.excepthook, sys.unraisablehook

    def on_raised(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if _LEFT not in str(error):
            raised(kind, error, trace)

    def on_unraisable(found: sys.UnraisableHookArgs) -> None:
        if _LEFT not in str(found.exc_value):
            unraisable(found)

    sys.excepthook, sys.unraisablehook = on_raised, on_unraisable


def ignore_local_settings() -> None:
    """Have matplotlib, once it is imported, pass over a ``matplotlibrc`` of the working folder."""
    _import_within("matplotlib", _no_matplotlibrc)


def _import_within(name: str, context: Callable[[], AbstractContextManager[None]]) -> None:
    if name not in sys.modules:
        sys.meta_path.insert(0, _ImportWithin(name, context))


@contextlib.contextmanager
def _no_matplotlibrc() -> Iterator[None]:
    """Of all names, the one that matplotlib asks for first is told not to exist; no setting of its own can say so."""
    real = os.path.exists
    os.path.exists = lambda path: path != "matplotlibrc" and real(path)
    try:
        yield
    finally:
        os.path.exists = real


class _ImportWithin(MetaPathFinder):
    """Has one module imported within a context."""

    def __init__(self, name: str, context: Callable[[], AbstractContextManager[None]]) -> None:
        self._name, self._context = name, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderWithin(spec.loader, self._context)
        return spec


class _LoaderWithin(Loader):
    def __init__(self, loader: Loader, context: Callable[[], AbstractContextManager[None]]) -> None:
        self._loader, self._context = loader, context

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._context():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Send standard error of the whole process, libraries in C included, to nowhere for a while."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
