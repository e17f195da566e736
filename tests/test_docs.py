"""The Python in the documentation runs."""

import re
from pathlib import Path

import pytest

from tests.runtime.guidance.arpa_text import SMALL, to_arpa
from tests.signals import SAMPLE_RATE, speech_like
from tests.test_import_rules import ORDER

ROOT = Path(__file__).parents[1]
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
