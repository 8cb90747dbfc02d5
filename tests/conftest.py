"""For all tests."""

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import BROWSER, DRIVER, Browser, open_browser

# A busy machine draws examples slowly, which says nothing of the code; a run of continuous integration can be repeated.
settings.register_profile(
    "here", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("here")


# A shell that starts the tests in the background lets them ignore Ctrl-C, and every process that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processes of tests side by side have a processor each: more threads would wait for each other, an eighth of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

TOO_MANY_SKIPS = 7  # a status of its own: running what failed again does not help


def pytest_addoption(parser):
    parser.addoption("--skips", type=int, metavar="N", help="fail where more than N tests were skipped")


NO_TIME = "no time is left"
UNTIL = float(os.environ.get("TESTS_UNTIL", "inf"))  # seconds since 1970


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Whoever has a limit of time says in TESTS_UNTIL when no further test is begun."""
    if time.time() > UNTIL:
        pytest.skip(NO_TIME)


def pytest_collection_modifyitems(items):
    if sys.platform == "win32":
        for item in items:
            if item.get_closest_marker("posix") or "sabotage" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason="Windows has no such thing"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Where all is installed, a test that is skipped is one that nobody would miss."""
    most = session.config.getoption("--skips")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if most is None or reporter is None or hasattr(session.config, "workerinput"):
        return
    every = reporter.stats.get("skipped", [])
    skipped = [report for report in every if NO_TIME not in str(report.longrepr)]
    reporter.ensure_newline()
    if left := len(every) - len(skipped):
        reporter.line(f"{left} tests were left out, since {NO_TIME}")
    reporter.line(f"{len(skipped)} tests were skipped, of {most} that may be")
    for report in skipped:
        reporter.line(f"  {report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")
    if len(skipped) > most:
        session.exitstatus = TOO_MANY_SKIPS


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory):
    """What is kept between starts lies in a folder of this run of the tests, also for processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEO_PIPELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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


@pytest.fixture
def browser(tmp_path) -> Iterator[Browser]:
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    with open_browser(tmp_path / "profile") as browser:
        yield browser
