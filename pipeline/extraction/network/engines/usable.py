"""Whether a library that computes networks can be used here: it is no dependency everywhere, or may not load."""

from __future__ import annotations

import functools
import importlib
import importlib.util

from pipeline.errors import UserError


@functools.cache
def why_broken(module: str) -> str:
    """Why a library cannot be loaded although it is installed; empty where it can, or is not there."""
    if importlib.util.find_spec(module) is None:
        return ""
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        return f"cannot be loaded ({' '.join(str(error).split())[:200]})"
    return ""


def why_unusable(module: str, package: str) -> str:
    """Why a library cannot be used, in a few words; empty where it can. ``package`` is what pip installs."""
    if importlib.util.find_spec(module) is None:
        return f"is not installed: pip install {package}"
    return why_broken(module)


def check_usable(what: str, library: str, reason: str) -> None:
    """Refuse what needs a library where there is a ``reason`` why it cannot be used.

    Raises:
        UserError: there is one.
    """
    if reason:
        raise UserError(f"{what} needs {library}, which {reason}")
