"""The rooms of the house stand on each other: a module imports from its own room and from those below it only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("videos", "extraction", "training", "inference")
NETWORK_MAY_IMPORT = ("pipeline.extraction.network", "pipeline.extraction.recipe", "pipeline.files.atomic")


def imported(path: Path) -> set[str]:
    """Modules of the project that a file imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: import by the full name"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] in ("pipeline", "scripts", "benchmarks", "tests")}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_below_only(room):
    above = ROOMS[ROOMS.index(room) + 1 :]
    for path in sorted((ROOT / "pipeline" / room).rglob("*.py")):
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] == "pipeline", f"{path} imports {name}"
            assert len(parts) < 2 or parts[1] not in above, f"{path} imports {name} from a room above"


def test_the_frozen_network_knows_nothing_of_videos_and_stores():
    for path in sorted((ROOT / "pipeline" / "extraction" / "network").glob("*.py")):
        for name in imported(path):
            room = name.split(".")[1] if "." in name else ""
            assert (
                room not in ROOMS
                or name.startswith(NETWORK_MAY_IMPORT)
                or name
                in (
                    "pipeline.extraction",
                    "pipeline.videos",
                )
            ), f"{path} imports {name}"


def test_nothing_is_longer_than_four_hundred_lines():
    for folder in ("pipeline", "scripts", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
