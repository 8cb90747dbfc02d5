"""What is installed: one list of requirements, and a package that does everything outside of the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from pipeline.commands import VERBS
from pipeline.version import VERSION
from tests.media import write_video

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ELSEWHERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
EXTRAS = {"gpu", "jax", "openvino", "onnx", "hub", "parquet", "ray", "dev", "all"}


def test_requirements_are_in_one_list_and_the_files_are_doors_to_it():
    assert set(PROJECT["optional-dependencies"]) == EXTRAS
    doors = {path.stem: path.read_text().strip() for path in ROOT.glob("requirements*.txt")}
    assert doors.pop("requirements") == "-e ."
    assert doors == {f"requirements-{extra}": f"-e .[{extra}]" for extra in EXTRAS - {"all"}}


def test_every_requirement_has_a_range_and_says_what_it_is_for():
    every = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\n[project]")[2].splitlines()
    for requirement in every:
        line = next(line for line in lines if f'"{requirement}"' in line)
        assert 1 <= len(line.partition("# ")[2].split()) <= 5, line
        own = requirement.startswith("video-pipeline[")
        assert own or re.match(r"[\w-]+(\[[\w-]+\])?>=[\d.]+(,<[\d.]+)?(;|$)", requirement), requirement


def test_the_version_is_in_one_place():
    assert "version" in PROJECT["dynamic"]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "pipeline").rglob("*.py")]
    assert sum(f'"{VERSION}"' in text for text in texts) == 1


# -- the package -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel that is made from the source archive, by what is installed already."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of a new environment that holds the wheel, and finds the libraries where they are installed here."""
    folder = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / Path(sys.executable).name
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    # A folder that is named so is looked into for modules, and the names in it of other folders (this clone) are not.
    (Path(there) / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return programs


@pytest.mark.slow
def test_the_wheel_has_all_that_is_not_python_as_well(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert "pipeline/py.typed" in package
    assert len(configs) > 5
    expected = package | {f"pipeline/published/{name}" for name in configs}
    assert {name for name in names if ".dist-info/" not in name} == expected


def call(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a folder."""
    line = [installed / "video-pipeline", *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, env=ELSEWHERE)


@pytest.mark.slow
def test_all_commands_open_outside_of_the_repository(installed, tmp_path):
    where = "import pipeline; print(pipeline.__file__)"
    python = [installed / "python", "-c", where]
    found = subprocess.run(python, capture_output=True, text=True, cwd=tmp_path, env=ELSEWHERE)
    assert Path(found.stdout.strip()).is_relative_to(installed.parent), found
    for verb in VERBS:
        shown = call(installed, tmp_path, verb, "--help")
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.startswith(f"usage: video-pipeline {verb}")
    unknown = call(installed, tmp_path, "run", "keras-exmple", "--data", ".")
    assert "the nearest is keras-example" in unknown.stderr
    empty = call(installed, tmp_path, "run", "keras-example", "--data", ".")
    assert "keras-example needs" in empty.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_package_does_the_whole_job_in_an_empty_folder(installed, tmp_path):
    for label, first in (("a", 0), ("b", 500)):
        for number in range(4):
            write_video(tmp_path / f"my_videos/{label}/{number}.mp4", frames=10, first=first + 20 * number)
    done = call(installed, tmp_path, "demo", "--videos", "my_videos", "--weights", "random")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n$ video-pipeline ") == 5
    assert call(installed, tmp_path, "explore", "my_videos", "--out", "explore.html").returncode == 0
    assert call(installed, tmp_path, "compare", "demo/checkpoint", "--out", "compare.html").returncode == 0
    pages = ["demo/checkpoint/report.html", "demo/player.html", "explore.html", "compare.html"]
    assert all("<!doctype html>" in (tmp_path / page).read_text(encoding="utf-8") for page in pages)
    assert (tmp_path / "demo/result.mp4").stat().st_size > 1_000
    grid = call(installed, tmp_path, "search", "demo/features", "--grid", "grid", "--out", "search", "--trials", "1")
    assert "1 trial; best: " in grid.stdout, grid.stderr


# -- continuous integration ------------------------------------------------------------------------


def test_the_workflow_runs_what_make_does_on_all_systems_and_pythons():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    commands = {
        step["run"].replace("python", "$(PY)", 1) for job in jobs.values() for step in job["steps"] if "run" in step
    }
    recipes = (ROOT / "Makefile").read_text().replace("$(SIDE_BY_SIDE) $(MOST_SKIPS) $(AGAIN)", "-n 2 --dist loadfile")
    made = {line.strip().removeprefix("@") for line in recipes.splitlines() if line.startswith("\t")}
    assert commands - made == {"$(PY) -m pip install -e .[dev]", "$(PY) -m pytest -m slow tests/test_package.py"}
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "windows", "macos"}
    pythons = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert {min(pythons), max(pythons)} == set(matrix["python"])
    assert PROJECT["requires-python"] == f">={min(pythons)}"


@pytest.mark.parametrize(("most", "status"), [("1", 0), ("0", 7)])
def test_a_skipped_test_is_counted_and_may_fail_the_run(tmp_path, most, status):
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_two.py").write_text(
        "import pytest\ndef test_one(): pass\n@pytest.mark.skip(reason='no package')\ndef test_other(): pass\n"
    )
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--skips", most, str(tmp_path)]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert f"1 tests were skipped, of {most} that may be" in done.stdout
    assert "test_two.py::test_other: Skipped: no package" in done.stdout
