"""What the documents say is there: commands and their options, files, links."""

from __future__ import annotations

import importlib
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from pipeline.commands import VERBS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES += [ROOT / folder / "README.md" for folder in ("data", "features", "checkpoints")]
VERB_OF = {module.rpartition(".")[2]: verb for verb, (module, _) in VERBS.items()}
# Files of the project, from its root or from a room; a word in capitals stands for any name.
TREES = "pipeline|tests|scripts|benchmarks|configs|docs|examples"
PATH = re.compile(rf"`((?:{TREES})/[\w./-]*|[\w.-]+/[\w./-]+\.(?:py|html|md))`")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def options(verb: str) -> frozenset[str]:
    """The options of a command, as its help shows them."""
    text = importlib.import_module(f"pipeline.commands.{VERBS[verb][0]}").parser().format_help()
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))


def code_of(text: str) -> list[str]:
    """The lines in blocks and the spans in backquotes."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*lines, *re.findall(r"`([^`]+)`", rest.replace("\n", " "))]


def calls(text: str) -> list[tuple[str, list[str]]]:
    """(verb, words after it) of each call of a command; an unknown script or verb stands for itself."""
    found = []
    for line in code_of(text):
        match = re.search(r"(?:video-pipeline|python -m pipeline) ([a-z-]+)(.*)|scripts/([a-z]\w+)\.py(.*)", line)
        if match:
            verb = match[1] or VERB_OF.get(match[3], match[3])
            found.append((verb, shlex.split((match[2] or match[4] or ""), comments=True)))
    return found


@pages
def test_every_command_is_there_with_its_options(page):
    for verb, words in calls(page.read_text()):
        assert verb in VERBS, f"{page.name}: {verb}"
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= options(verb) | {"--help"}, f"{page.name}: video-pipeline {verb} {' '.join(words)}"


def test_every_command_has_its_paragraph_and_the_options_named_in_it():
    text = (ROOT / "docs/commands.md").read_text()
    paragraphs = dict(re.findall(r"^### ([a-z-]+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(paragraphs) == set(VERBS)
    for verb, paragraph in paragraphs.items():
        assert paragraph.startswith(f"`scripts/{VERBS[verb][0].rpartition('.')[2]}.py`. "), verb
        named = {word for span in code_of(paragraph) for word in re.findall(r"^--[a-z][\w-]*", span)}
        assert named <= options(verb), f"{verb}: {named - options(verb)}"


@pages
def test_every_file_named_is_there(page):
    text = page.read_text()
    places = (ROOT, ROOT / "pipeline", page.parent, *(path for path in (ROOT / "pipeline").iterdir() if path.is_dir()))
    gone = [
        name
        for name in PATH.findall(text)
        if "NAME" not in name and not any((place / name).exists() for place in places)
    ]
    assert gone == []


def test_every_folder_of_the_package_has_its_line():
    text = (ROOT / "docs/architecture.md").read_text()
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*/*.py") if path.stem != "__init__"}
    rooms = {folder for folder in folders if not any(folder in other.parents for other in folders)}
    named = [folder for folder in rooms if f"`{folder}/` |" in text or "commands" in folder.parts]
    assert rooms - set(named) == set()


def test_what_is_to_be_changed_is_in_the_files_of_its_row():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## To add X, change Y")[2]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) >= 10
    for thing, change, tests in rows:
        files = [ROOT / name for name in PATH.findall(change) if "." in name]
        text = "".join(path.read_text() for path in files)
        gone = [name for name in re.findall(r"`(_?[A-Za-z]\w*)(?:\(.*?\))?`", change) if name not in text]
        assert gone == [], thing
        assert PATH.findall(tests), thing


@pages
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text())
    gone = [link for pair in links for link in pair if link and ":" not in link and not (page.parent / link).exists()]
    assert gone == []


def test_every_benchmark_named_is_there():
    named = {name for page in PAGES for name in re.findall(r"python -m benchmarks\.([\w.]+)", page.read_text())}
    assert named
    files = {name: [f"benchmarks/{name.replace('.', '/')}{end}" for end in (".py", "/__main__.py")] for name in named}
    assert [name for name, paths in files.items() if not any((ROOT / path).exists() for path in paths)] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
