"""Starting Python again: with this package and what is installed, and nothing of the working folder.

Python puts the working folder first where it looks for modules; a ``numpy.py`` among somebody's videos would be run.
"""

from __future__ import annotations

import sys
from pathlib import Path

SERVE = "from pipeline.parallel.worker_process import serve; serve()"
COMMAND = "from pipeline.commands import main; sys.exit(main())"
_ROOT = str(Path(__file__).parents[2])


def python(program: str, *words: str) -> list[str]:
    """The command line that runs a program with ``words`` as its arguments.

    Args:
        program: statements in one line, which may use `sys`.
        words: its arguments.
    """
    # The folder of the package is where Python looks for it already, but in a checkout that is not installed.
    start = "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    return [sys.executable, "-P", "-c", start + program, _ROOT, *words]
