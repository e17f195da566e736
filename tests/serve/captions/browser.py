"""Chromium without a window, driven by its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

SECONDS = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
EXECUTABLE = next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab. `events` holds what the browser told without being asked."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of DevTools and give its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(SECONDS))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page is loaded."""
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.command(f"{domain}.enable")
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """A JavaScript expression's value; promises are awaited."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + SECONDS
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} never came; {self.value('document.body.innerText')}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """A key on the keyboard."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=text if "D" in kind else "",
            )

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        root = self.command("DOM.getDocument")["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path, width: int, height: int, dark: bool) -> None:
        """A picture of the page at a size."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """Errors that the browser told: exceptions, and what the page's policy forbids."""
        self.value("0")
        told = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        logged = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        return [str(one) for one in told] + [entry["text"] for entry in logged if entry["level"] == "error"]

    def addresses(self) -> set[str]:
        """All addresses that the page asked for."""
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return {one["request"]["url"] for one in asked}


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Page]:
    """A tab of a new browser, whose profile lies in a folder."""
    assert EXECUTABLE is not None
    with start(folder, flags) as port:
        with connect(
            f"ws://127.0.0.1:{port}/devtools/browser/{(folder / 'path').read_text()}", max_size=None
        ) as socket:
            target = Page(socket).command("Target.createTarget", url="about:blank")["targetId"]
        with connect(f"ws://127.0.0.1:{port}/devtools/page/{target}", max_size=None) as socket:
            yield Page(socket)


@contextmanager
def start(folder: Path, flags: Sequence[str]) -> Iterator[int]:
    """The port of DevTools of a new browser."""
    common = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"]
    command = [str(EXECUTABLE), *common, *quiet, "--remote-debugging-port=0", f"--user-data-dir={folder}", *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told, end = folder / "DevToolsActivePort", time.monotonic() + SECONDS
        while not (told.exists() and told.read_text().count("\n")):
            assert process.poll() is None, "the browser ended"
            assert time.monotonic() < end, "the browser does not listen"
            time.sleep(0.05)
        port, path = told.read_text().split("\n")[:2]
        (folder / "path").write_text(path.rpartition("/")[2])
        yield int(port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
