"""A headless Chromium for tests of pages: clicks, keys, scripts and what is to be seen."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


class Browser:
    """A headless Chromium, spoken to by the WebDriver protocol. Source: https://www.w3.org/TR/webdriver2/"""

    def __init__(self, address: str, profile: Path) -> None:
        self._address = address
        arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
        arguments += ("--disable-sync", "--no-first-run", "--window-size=1300,900", f"--user-data-dir={profile}")
        options = {"binary": BROWSER, "args": list(arguments)}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["value"]

    def ask(self, method: str, path: str, body: dict | None = None):
        return self._ask(method, f"/session/{self._session}{path}", body)

    def open(self, page: Path, view: str = "") -> None:
        """Open a file, with ``view`` behind its #."""
        self.ask("POST", "/url", {"url": page.as_uri() + (f"#{view}" if view else "")})

    def run(self, script: str, *arguments: str):
        """The value of a script's ``return``; it has the arguments as ``arguments[0]`` and so on."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str) -> None:
        end = time.monotonic() + 20
        while not self.run(f"return Boolean({script})"):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def middle(self, element: str) -> np.ndarray:
        """``(10, 10, 3)`` uint8: what the page shows in the middle of an element."""
        place = f"const at = document.getElementById('{element}').getBoundingClientRect();"
        x, y = self.run(f"{place} return [Math.round(at.x + at.width / 2), Math.round(at.y + at.height / 2)]")
        page = Image.open(io.BytesIO(base64.b64decode(self.ask("GET", "/screenshot")))).convert("RGB")
        return np.asarray(page)[y - 5 : y + 5, x - 5 : x + 5]

    def click(self, selector: str, number: int = 0) -> None:
        found = self.ask("POST", "/elements", {"using": "css selector", "value": selector})
        element = next(iter(found[number].values()))
        self.ask("POST", f"/element/{element}/click", {})

    def press(self, *keys: str) -> None:
        actions = [{"type": "keyDown", "value": key} for key in keys]
        actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})


@contextlib.contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser that keeps its files in the folder ``profile``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end
            time.sleep(0.05)
        browser = Browser(f"http://127.0.0.1:{port}", profile)
        yield browser
        browser.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()
