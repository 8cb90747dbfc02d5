"""The quick benchmarks, each figure against its bound in floors.yaml; exit status 1 where one is beyond it.

A figure is a ratio that was taken in one run, so that it holds on any machine, with room for a busy one.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, Table
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.files.guard.reading import read_yaml

FLOORS = Path(__file__).with_name("floors.yaml")


@dataclass(frozen=True)
class Bound:
    """What a figure may be."""

    name: str
    pattern: str
    """Finds the figure in what the benchmark prints: the group of a regular expression."""
    least: float | None = None
    most: float | None = None

    def holds(self, figure: float) -> bool:
        """Whether a figure is within it."""
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)

    def __str__(self) -> str:
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"


def read_floors(path: Path = FLOORS) -> dict[str, list[Bound]]:
    """The bounds by the command line of the benchmark that prints the figures."""
    return {line: [Bound(**bound) for bound in bounds] for line, bounds in read_yaml(path).items()}


def compare(floors: Mapping[str, Sequence[Bound]]) -> Iterator[tuple[Bound, float | None]]:
    """Run benchmarks; yields each bound with its figure, None where the benchmark failed or printed none."""
    for line, bounds in floors.items():
        words = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for bound in bounds:
            found = re.search(bound.pattern, done.stdout)
            yield bound, float(found[1]) if found and done.returncode == 0 else None


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks training.speed")
    parser.add_argument("only", nargs="*", metavar="NAME", help="benchmarks by name (default: all of floors.yaml)")
    args = parser.parse_args(argv)
    floors = read_floors()
    chosen = {line: floors[line] for line in floors if not args.only or any(f".{name}" in line for name in args.only)}
    if not chosen:
        known = ", ".join(line.split()[0].removeprefix("benchmarks.") for line in floors)
        raise UserError(f"there is no bound for {', '.join(args.only)}; floors.yaml has {known}")
    table, held = Table({"figure": ">58", "is": ">8", "bound": ">9", "": ">7"}), True
    for bound, figure in compare(chosen):
        good = figure is not None and bound.holds(figure)
        held &= good
        table.add(bound.name, "none" if figure is None else f"{figure:g}", str(bound), "" if good else "BEYOND")
    return command.OK if held else command.SOME_FAILED


if __name__ == "__main__":
    sys.exit(command.run(main))
