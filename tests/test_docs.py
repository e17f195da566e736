"""The Python in the documentation runs."""

import re
import tomllib
from pathlib import Path

import pytest

from emf.runtime.artifact.manifest_file import MAX_ELEMENTS, MAX_MANIFEST_BYTES
from emf.runtime.artifact.tokens import MAX_TOKENS_BYTES
from emf.runtime.audio.samples import MIN_SAMPLE_RATE
from emf.runtime.recognition.packed_arrays import MAX_BYTES
from emf.serve.deepgram.prerecorded import MOST_BYTES as DEEPGRAM_BYTES
from emf.serve.http_server import MAX_MESSAGE_BYTES
from emf.serve.options import ServeOptions
from emf.serve.session.audio_format import MOST_CHANNELS
from emf.serve.session.limits import SessionLimits
from emf.serve.store.session_store import MOST_BYTES as RECORD_BYTES
from tests.runtime.guidance.arpa_text import SMALL, to_arpa
from tests.signals import SAMPLE_RATE, speech_like
from tests.test_import_rules import ORDER

ROOT = Path(__file__).parents[1]
ROOMS = ("runtime", "export", "quantize", "serve")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, *sorted((ROOT / "docs").glob("*/**/*.md"))]


def code(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda page: page.name)
def test_code_runs(page: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    arpa = tmp_path / "words.arpa"
    arpa.write_text(to_arpa(SMALL), encoding="utf-8")
    names = {"artifact": str(tiny_artifact), "samples": speech_like(2.0), "sample_rate": SAMPLE_RATE, "arpa": arpa}
    source = code(page).replace('"artifacts/demo", backend="openvino"', "artifact")
    exec(compile(source, str(page), "exec"), names)


def links(page: Path) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")) if "://" not in target]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert all((page.parent / target).exists() for target in links(page)), links(page)


def test_the_readme_is_a_page_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_every_page_is_two_clicks_from_the_readme() -> None:
    near = {ROOT / "README.md"}
    for _ in range(2):
        near |= {(page.parent / link).resolve() for page in near if page.suffix == ".md" for link in links(page)}
    notes = ROOT / "docs" / "notes"
    assert [page for page in LINKING if page not in near and notes not in page.parents] == []


def test_the_errors_explained_are_errors_of_the_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^|]+)` \| .+ \| .+ \|$", page, re.MULTILINE)
    rooms = (path.read_text(encoding="utf-8") for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    code = re.sub(r'"\s+f?"', "", "\n".join(rooms))
    code = code.replace("{MANIFEST_NAME}", "manifest.json")
    missing = [line for line in told if not all(part in code for part in line.split("…"))]
    assert len(told) > 40
    assert missing == []


def test_the_versions_told_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (?:[\w .]+: )?([\w-]+) \| `([^`]+)` \|$", page, re.MULTILINE)
    assert ("Python", project["requires-python"]) in told
    known = {re.sub(r"\[.*?\]|;.*", "", one) for one in stated}
    assert len(told) > 8
    assert [one for one in told if one[0] != "Python" and "".join(one) not in known] == []


def test_the_bounds_told_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE))
    options, limits = ServeOptions(), SessionLimits()
    assert told["open connections, over all ports"] == f"{options.max_connections}"
    assert told["a WebSocket message"] == mebibytes(MAX_MESSAGE_BYTES)
    assert told["channels; sample rate"] == f"{MOST_CHANNELS}; from {MIN_SAMPLE_RATE} to 768 000 Hz"
    assert told["a session without a message"] == f"{options.idle_timeout:g} seconds"
    assert options.max_session == 3600
    assert told["audio that waits to be decoded"] == f"{options.max_backlog:g} seconds of a session"
    assert told["marks that wait for an answer"] == f"{limits.most_marks}"
    assert told["a file for OpenAI's endpoint"].startswith(f"{options.max_upload} MiB")
    assert told["a file for Deepgram's endpoint"] == mebibytes(DEEPGRAM_BYTES)
    assert told["a manifest; a token list; a table of recordings"].startswith(
        f"{mebibytes(MAX_MANIFEST_BYTES)}; {mebibytes(MAX_TOKENS_BYTES)}"
    )
    assert told["a snapshot; a record of the session store"] == f"1 GiB; {mebibytes(RECORD_BYTES)}"
    assert MAX_BYTES == 2**30
    assert MAX_ELEMENTS == 2**28


def mebibytes(count: int) -> str:
    return f"{count >> 20} MiB"


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_files_of_the_walk_exist() -> None:
    named = set(re.findall(r"`((?:runtime|export|quantize|serve|tests)/[\w/.]*)`", ARCHITECTURE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_room_is_in_the_picture() -> None:
    rooms = {
        path.parent.relative_to(ROOT / "runtime").as_posix() for path in (ROOT / "runtime").glob("*/**/__init__.py")
    }
    assert rooms == {room[8:].replace(".", "/") for line in ORDER for room in line if room.startswith("runtime.")}
    assert [room for room in sorted(rooms) if not re.search(rf"^ .*\b{room}/ ", ARCHITECTURE, re.MULTILINE)] == []
