"""The house: which room may import which, no circles, and nothing too large to be surveyed.

An import counts wherever it is: at the top, inside a function, or under ``TYPE_CHECKING``. In a folder the ``.py``
files count, but for ``__init__.py``. Each rule is itself tested on a small house that breaks it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_FILES, MOST_LINES = 10, 400
# scripts/ holds a door of a few lines for each command: their number is no burden.
SURVEYED = ("pipeline", "tests", "benchmarks")
MEASURED = (*SURVEYED, "scripts")

# A name may import what is on lines above its own. Names on one line do not import each other.
ORDERS = {
    "pipeline": """
        errors version lazy
        files parallel cli
        videos
        extraction
        training
        inference
        published
        commands
        __main__""",
    "pipeline.videos": """
        media
        catalog synthetic
        labels quality
        clips preview""",
    "pipeline.extraction": """
        recipe
        inputs network.engines
        network.by_file network.by_hub
        network
        store
        features
        jobs""",
    "pipeline.training": """
        data compute
        likeness heads
        checkpoint
        loop
        evaluation
        reports
        experiments""",
    "pipeline.inference": """
        timeline
        classify_spec
        live drawing
        classifier
        stored_features export
        outputs
        folder_run""",
}
# The frozen network is a function of pixels: it knows the recipe that asks for it, and nothing of videos and stores.
NETWORK = "pipeline.extraction.network"
NETWORK_MAY_IMPORT = (
    NETWORK,
    "pipeline.extraction.recipe",
    *("pipeline.errors", "pipeline.lazy", "pipeline.files", "pipeline.parallel"),
)

Graph = Mapping[str, set[str]]


# -- reading a house -------------------------------------------------------------------------------


def modules(root: Path) -> dict[str, Path]:
    """The modules of the package ``pipeline`` below a folder, by their dotted names."""
    paths = {path.relative_to(root).with_suffix(""): path for path in sorted((root / "pipeline").rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports, as (module, name): ``from a.b import c`` as (a.b, c), ``import a`` as (a, "")."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: import by the full name"
            yield from ((node.module or "", alias.name) for alias in node.names)


def file_graph(root: Path) -> Graph:
    """Which modules each module imports."""
    known = modules(root)
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        graph[module] = set()
        for name, member in imported(path):
            found = f"{name}.{member}" if f"{name}.{member}" in known else name
            if found in known and found != module:
                graph[module].add(found)
    return graph


def folder_graph(root: Path) -> Graph:
    """Which folders the files of each folder import from.

    The files directly in ``pipeline`` are each by themselves: all stand on ``errors``, and ``__main__`` stands on all.
    The ``__init__`` of a room names what other rooms use of the folders in it, so what it imports does not count.
    """
    known = modules(root)

    def folder(module: str) -> str:
        parent = module.rpartition(".")[0]
        return module if known[module].name == "__init__.py" or parent == "pipeline" else parent

    deep = {module.rpartition(".")[0] for module in known}
    names_only = {module for module in known if any(name.startswith(f"{module}.") for name in deep)}
    graph: dict[str, set[str]] = {}
    for module, others in file_graph(root).items():
        if module not in names_only:
            graph.setdefault(folder(module), set()).update(map(folder, others - names_only))
    return {name: others - {name} for name, others in graph.items()}


def circle(graph: Graph) -> list[str]:
    """Names that import each other round in a circle; empty where there are none."""
    finished: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in finished:
            for other in sorted(graph.get(name, ())):
                if found := walk(other, [*way, name]):
                    return found
            finished.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def upward(graph: Graph, orders: Mapping[str, str]) -> list[str]:
    """Imports against the order of the rooms, and modules that have no place in it."""
    found = []
    for package, text in orders.items():
        level = {name: number for number, line in enumerate(text.split("\n")) for name in line.split()}

        def place(module: str, package: str = package, level: Mapping[str, int] = level) -> str:
            """The longest name of the order that the module is in; empty outside of the package."""
            inside = module.removeprefix(f"{package}.") if module.startswith(f"{package}.") else ""
            return max((name for name in level if f"{inside}.".startswith(f"{name}.")), key=len, default="")

        for module, others in graph.items():
            here = place(module)
            if module.startswith(f"{package}.") and not here:
                found.append(f"{module} has no place in the order of {package}")
            for other in sorted(others):
                there = place(other)
                if here and there and here != there and level[there] >= level[here]:
                    found.append(f"{module} imports {other} from above")
    return found


def crowded(root: Path, folders: tuple[str, ...], most: int) -> list[str]:
    """Folders that hold too many files."""
    count: dict[Path, int] = {}
    for folder in folders:
        for path in (root / folder).rglob("*.py"):
            if path.name != "__init__.py":
                count[path.parent] = count.get(path.parent, 0) + 1
    return [f"{folder.relative_to(root)}: {files} files" for folder, files in sorted(count.items()) if files > most]


def long(root: Path, folders: tuple[str, ...], most: int) -> list[str]:
    """Files that have too many lines."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return [f"{path.relative_to(root)}: {count} lines" for path, count in lines.items() if count > most]


# -- the house of this project ---------------------------------------------------------------------


def test_imports_go_down_only():
    assert upward(file_graph(ROOT), ORDERS) == []


def test_no_two_files_import_each_other():
    assert circle(file_graph(ROOT)) == []


def test_no_two_folders_import_each_other():
    assert circle(folder_graph(ROOT)) == []


def test_no_folder_is_crowded():
    assert crowded(ROOT, SURVEYED, MOST_FILES) == []


def test_no_file_is_long():
    assert long(ROOT, MEASURED, MOST_LINES) == []


def test_the_package_imports_nothing_around_it():
    around = [
        f"{path} imports {name}"
        for path in modules(ROOT).values()
        for name, _ in imported(path)
        if name.split(".")[0] in ("scripts", "benchmarks", "tests")
    ]
    assert around == []


def test_the_frozen_network_knows_nothing_of_videos_and_stores():
    graph = file_graph(ROOT)
    foreign = [
        f"{module} imports {other}"
        for module, others in graph.items()
        if f"{module}.".startswith(f"{NETWORK}.")
        for other in others
        if not any(f"{other}.".startswith(f"{name}.") for name in NETWORK_MAY_IMPORT)
    ]
    assert foreign == []


# -- houses that break a rule ----------------------------------------------------------------------

LATE = "def load():\n    from {module} import {name}\n"
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {module} import {name}\n"
AT_ONCE = "from {module} import {name}\n"


def build(root: Path, **files: str) -> Path:
    """A house of files, named with ``__`` for each slash; every folder gets an ``__init__.py``."""
    for name, text in files.items():
        path = root / "pipeline" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in [root / "pipeline", *(path for path in (root / "pipeline").rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()
    return root


@pytest.mark.parametrize("way", [AT_ONCE, LATE, FOR_TYPES])
def test_an_import_from_above_is_seen(tmp_path, way):
    house = build(tmp_path, videos__media=way.format(module="pipeline.training", name="heads"), training__heads="")
    order = {"pipeline": "videos\ntraining"}
    assert upward(file_graph(house), order) == ["pipeline.videos.media imports pipeline.training.heads from above"]
    assert upward(file_graph(house), {"pipeline": "training\nvideos"}) == []
    assert upward(file_graph(house), {"pipeline": "training videos"}) != []  # neighbours are no floors


def test_a_module_without_a_place_is_seen(tmp_path):
    house = build(tmp_path, videos__media="", attic__box="")
    missing = ["pipeline.attic has no place in the order of pipeline"]
    missing.append("pipeline.attic.box has no place in the order of pipeline")
    assert upward(file_graph(house), {"pipeline": "videos"}) == missing


def test_the_longest_name_of_an_order_counts(tmp_path):
    house = build(tmp_path, network__engines__keras="import pipeline.network.load", network__load="")
    below = upward(file_graph(house), {"pipeline": "network.engines\nnetwork"})
    assert below == ["pipeline.network.engines.keras imports pipeline.network.load from above"]


@pytest.mark.parametrize("way", [AT_ONCE, LATE, FOR_TYPES])
def test_a_circle_of_files_is_seen(tmp_path, way):
    house = build(
        tmp_path,
        one="from pipeline.two import b",
        two="import pipeline.three",
        three=way.format(module="pipeline", name="one"),
    )
    assert circle(file_graph(house)) == ["pipeline.one", "pipeline.two", "pipeline.three", "pipeline.one"]


@pytest.mark.parametrize("way", [AT_ONCE, LATE, FOR_TYPES])
def test_a_circle_of_folders_is_seen_where_there_is_none_of_files(tmp_path, way):
    house = build(
        tmp_path,
        room__left__a=way.format(module="pipeline.room.right", name="b"),
        room__right__b="",
        room__right__c="from pipeline.room.left import d",
        room__left__d="",
    )
    assert circle(file_graph(house)) == []
    assert circle(folder_graph(house)) == ["pipeline.room.left", "pipeline.room.right", "pipeline.room.left"]


def test_a_room_that_names_what_others_use_is_no_circle(tmp_path):
    house = build(tmp_path, room__left__a="from pipeline.room import core", room__core="")
    (house / "pipeline/room/__init__.py").write_text("from pipeline.room.left.a import x\n")
    assert circle(folder_graph(house)) == []
    (house / "pipeline/room/left/a.py").write_text("from pipeline.room import x\n")
    assert circle(file_graph(house)) == ["pipeline.room", "pipeline.room.left.a", "pipeline.room"]


def test_a_crowded_folder_and_a_long_file_are_seen(tmp_path):
    house = build(tmp_path, **{f"room__file{number}": "" for number in range(3)}, room__long="\n" * 5)
    assert crowded(house, ("pipeline",), 3) == ["pipeline/room: 4 files"]
    assert crowded(house, ("pipeline",), 4) == []
    assert long(house, ("pipeline",), 4) == ["pipeline/room/long.py: 5 lines"]
    assert long(house, ("pipeline",), 5) == []
