"""For all tests."""

import os
import signal

import pytest

# A shell that starts the tests in the background lets them ignore Ctrl-C, and every process that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SABOTAGE = """
import os, pathlib, signal, sys, time

if any("worker_process" in word for word in sys.orig_argv):
    real = pathlib.Path.stat

    def stat(self, **options):
        if self.name.startswith("hangs"):
            time.sleep(1000)
        if self.name.startswith("crashes"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return real(self, **options)

    pathlib.Path.stat = stat
"""


@pytest.fixture
def sabotage(tmp_path_factory, monkeypatch):
    """Has workers hang on files whose names begin with "hangs", and crash on those that begin with "crashes"."""
    folder = tmp_path_factory.mktemp("sabotage")
    (folder / "sitecustomize.py").write_text(SABOTAGE)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", str(folder) + (os.pathsep + before if before else ""))
