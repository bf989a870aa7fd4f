"""A browser for tests: Chromium without a window, driven over HTTP as the WebDriver standard says."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
MISSING = "" if DRIVER and CHROMIUM else "chromium and chromedriver are not installed: apt-get install chromium-driver"


class Browser:
    """One session, for a ``with`` block; `folder` takes its profile."""

    def __init__(self, folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {"HOME": os.fspath(folder)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.driver = subprocess.Popen([str(DRIVER), f"--port={port}"], env=environment, **quiet)  # type: ignore[call-overload]
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
        ]
        wanted = {
            "goog:chromeOptions": {"binary": CHROMIUM, "args": [*arguments, "--disable-dev-shm-usage"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        for _ in range(100):
            try:
                made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.URLError as error:
                if isinstance(error, urllib.error.HTTPError):
                    raise
                time.sleep(0.1)
        else:
            raise RuntimeError("chromedriver does not answer")
        self.session = f"/session/{made['sessionId']}"
        self.ask("POST", f"{self.session}/timeouts", {"script": 120_000})

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *what: object) -> None:
        try:
            self.ask("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(10)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the value that the driver answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Open an address."""
        self.ask("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """Return what the body of a function returns; a promise is waited for."""
        return self.ask("POST", f"{self.session}/execute/sync", {"script": script, "args": list(args)})

    def command(self, name: str, **options: Any) -> Any:
        """Return what a command of Chromium's DevTools answers."""
        return self.ask("POST", f"{self.session}/goog/cdp/execute", {"cmd": name, "params": options})

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)

    def picture(self, file: Path) -> None:
        """Write what is seen as PNG."""
        file.write_bytes(base64.b64decode(self.ask("GET", f"{self.session}/screenshot")))

    def messages(self) -> list[str]:
        """Return what the page has said on the console since the last call, exceptions among it."""
        return [entry["message"] for entry in self.ask("POST", f"{self.session}/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        entries = [
            json.loads(e["message"])["message"]
            for e in self.ask("POST", f"{self.session}/se/log", {"type": "performance"})
        ]
        urls = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return [
            url for url in urls if not url.startswith(("chrome://", "chrome-untrusted://", "data:"))
        ]  # the empty tab, and what is no request
