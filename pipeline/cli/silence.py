"""Keeps the start-up messages of the libraries off the terminal, so that only our lines are on it."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "ABSL_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "ERROR",
    "OPENCV_LOG_LEVEL": "SILENT",
}


def quieten() -> None:
    """Silence TensorFlow, OpenCV and gRPC from now on; call it before they are imported.

    What the environment says is overruled: JAX sets a louder level in it for every process that comes after.
    """
    os.environ.update(ENVIRONMENT)
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _MutedImport("tensorflow"))


class _MutedImport(importlib.abc.MetaPathFinder):
    """Mutes standard error while one module is imported.

    TensorFlow's libraries write to it before any setting of theirs is read, so nothing else helps.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _MutedLoader(spec.loader)
        return spec


class _MutedLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with muted():
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
