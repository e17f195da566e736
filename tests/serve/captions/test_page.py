"""The captions page: in a browser with a microphone that plays a recording, where there is one, and without."""

import asyncio
import re
import time
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from emf.runtime.speech.subtitles import to_srt, to_vtt
from emf.serve.access.keys import Account, Keys
from emf.serve.client import Transcriber
from emf.serve.live_text import LiveText
from tests.conftest import ROOT
from tests.serve.captions.browser import EXECUTABLE, NAMES, Page, browsing
from tests.serve.live_server import SECONDS, LiveServer, live_server

in_a_browser = pytest.mark.skipif(EXECUTABLE is None, reason=f"none of {', '.join(NAMES)} is installed")
KEY = "a-key-of-this-test-0123"
RATE = 16_000

RECORDING = """
window.sent = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (message) {
  if (message instanceof Int16Array) window.sent.push(...message);
  else window.start ??= JSON.parse(message);
  return send.call(this, message);
};
0
"""
BREAKING = """
window.sockets = 0;
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...args) {
    super(...args);
    const number = ++window.sockets;
    const breakOff = ({ data }) => data.includes(number === 1 ? '"result"' : '"started"') && this.close();
    if (number < 3) this.addEventListener("message", breakOff);
  }
};
0
"""
"""The first connection breaks at its first result, the second as soon as the session goes on."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate = soundfile.read(ROOT / "export" / "demo" / "recordings" / "digits.flac", dtype="int16")
    assert rate == RATE
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def demo(demo_artifact: Path) -> Iterator[LiveServer]:
    keys = Keys([(KEY, Account("tester"))])
    with live_server(demo_artifact, keys=keys, decoding_method="beam") as running:
        yield running


@pytest.fixture(scope="module")
def tab(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}%noloop",
    ]
    with browsing(tmp_path_factory.mktemp("profile"), *microphone) as page:
        yield page


@pytest.fixture
def page(tab: Page, demo: LiveServer) -> Iterator[Page]:
    tab.events.clear()
    tab.open(demo.url("/", "http"))
    tab.value(f"document.getElementById('key').value = '{KEY}'")
    yield tab
    assert tab.complaints() == []
    host = demo.url("", "http")
    assert {address for address in tab.addresses() if not address.startswith(host)} <= {"data:,"}


def status(page: Page) -> str:
    text: str = page.value("document.getElementById('status').textContent")
    return text


def captions(page: Page) -> str:
    text: str = page.value("[...document.querySelectorAll('.text')].map((text) => text.textContent).join(' ')")
    return " ".join(text.split())


def through_the_client(server: LiveServer, samples: np.ndarray) -> tuple[str, list[LiveText]]:
    async def run() -> tuple[str, list[LiveText]]:
        async with asyncio.timeout(SECONDS), Transcriber(server.url(), sample_rate=RATE, api_key=KEY) as client:
            await client.send(samples)
            text = await client.finish()
            return text, [text async for text in client if text.is_final]

    return asyncio.run(run())


def library_text(server: LiveServer, recording: Path) -> str:
    return server.recognizer.transcribe(soundfile.read(recording, dtype="float32")[0], RATE).text


@in_a_browser
def test_a_microphone_by_keyboard(page: Page, demo: LiveServer, recording: Path) -> None:
    """The text is exactly that of the samples sent, which are those of the recording."""
    page.value(RECORDING)
    for _ in range(10):
        page.press("Tab")
        if page.value("document.activeElement.id") == "microphone":
            break
    page.press("Enter")
    expected = library_text(demo, recording).split()
    page.wait("document.getElementById('status').textContent === 'Listening.'")
    assert page.value("document.activeElement.id") == "stop"
    seen_unstable = False
    end = time.monotonic() + SECONDS
    while len(captions(page).split()) < len(expected) - 1 and time.monotonic() < end:
        seen_unstable |= bool(page.value("document.querySelector('.unstable')?.textContent"))
        time.sleep(0.02)
    time.sleep(0.5)
    page.press("Enter")
    page.wait("document.getElementById('status').textContent === 'Done.'")
    sent = np.asarray(page.value("window.sent"), np.float32) / 32768.0
    heard = captions(page)
    assert heard == demo.recognizer.transcribe(sent, page.value("window.start.sample_rate")).text
    assert SequenceMatcher(None, heard.split(), expected, autojunk=False).ratio() > 0.7, heard
    assert seen_unstable
    assert re.fullmatch(r"Latency \d+ ms \(server \d+ ms\)", page.value("document.getElementById('latency').innerText"))
    assert page.value("document.activeElement.id") == "microphone"


@in_a_browser
def test_a_file_gives_the_librarys_text_and_its_subtitles(
    page: Page, demo: LiveServer, recording: Path, tmp_path: Path
) -> None:
    """Also over a connection that breaks in between."""
    page.value("document.getElementById('real-time').checked = false")
    page.value(BREAKING)
    page.choose("#file", recording)
    page.wait("document.getElementById('status').textContent === 'Done.'")
    assert page.value("window.sockets") == 3
    text, finals = through_the_client(demo, soundfile.read(recording, dtype="int16")[0])
    assert captions(page) == text == library_text(demo, recording) != ""
    words = [word for final in finals for word in final.words]
    page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    expected = {"txt": f"{text}\n", "srt": to_srt(words), "vtt": to_vtt(words)}
    for form, content in expected.items():
        page.value(f"document.querySelector('[data-form={form}]').click()")
        file, end = tmp_path / f"transcript.{form}", time.monotonic() + SECONDS
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        assert file.read_text(encoding="utf-8") == content
    page.value("document.getElementById('confidence').click()")
    shown = page.value("getComputedStyle(document.querySelector('.word'), '::after').content")
    assert shown == f'"{round(100 * words[0].confidence)}%"'


@in_a_browser
def test_it_fits_a_phone_and_is_named_for_screen_readers(page: Page, tmp_path: Path) -> None:
    for dark in (False, True):
        page.screenshot(tmp_path / "phone.png", 360, 640, dark)
        assert page.value("document.documentElement.scrollWidth") <= 360
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 23)"
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"] and "name" in node]
    assert {("log", "Captions"), ("heading", "Live captions"), ("button", "Stop")} <= set(named)
    controls = [name for role, name in named if role in ("button", "checkbox", "textbox", "meter")]
    assert len(controls) >= 8
    assert all(controls)


@in_a_browser
def test_what_goes_wrong_is_told(page: Page, recording: Path, tmp_path: Path) -> None:
    page.value("document.getElementById('key').value = ''")
    page.choose("#file", recording)
    page.wait("document.getElementById('status').className === 'failed'")
    assert "key" in status(page)
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no audio at all")
    page.choose("#file", noise)
    page.wait("document.getElementById('status').textContent.includes('noise.wav')")
    assert page.value("!document.getElementById('microphone').disabled")
    page.events.clear()  # a refused connection is an error in the browser's log, too


def test_its_files(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url("", "http")) as client:
        index = client.get("/")
        assert index.status_code == 200
        assert "default-src 'none'" in index.headers["Content-Security-Policy"]
        named = re.findall(r'(?:src|href)="(captions/[^"]+)"', index.text)
        assert len(named) == 2
        for name in named:
            assert client.get(f"/{name}").status_code == 200
        assert client.get("/captions/main.js").headers["Content-Type"].startswith("text/javascript")
        for nothing in ("/captions/other.js", "/captions/..%2f__init__.py", "/captions/"):
            assert client.get(nothing).status_code == 404
        assert client.head("/").status_code == 200
