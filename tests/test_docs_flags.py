"""Commands in the documentation give flags that the commands have."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FLAG = re.compile(r"(?<![\w'-])--[a-z][\w-]*")
COMMAND = re.compile(r"(?:^|[\s/])(?:tools/(?P<tool>\w+)\.py|(?P<script>emf-\w+))(?P<flags>\s.*)")


def commands(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Each command of a page with its flags.

    Comments are left out, and flags that another command takes: behind `--`, and in a quoted value. A command in quotes
    is one of its own.
    """
    text = re.sub(r"^```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    text = re.sub(r"(--[a-z][\w-]*)='[^'\n]*'", r"\1", text)
    for piece in re.split(
        r"[\n`|;&]|'(?=emf-)|(?<=\S)'(?=\s)", re.sub(r"`[^`]+`", lambda found: " ".join(found[0].split("\n")), text)
    ):
        found = COMMAND.search(re.split(" # | -- ", piece)[0] + " ")
        if found:
            yield found["tool"] or found["script"], set(FLAG.findall(found["flags"]))


def known_flags(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """All flags of a command or of a script in `tools/`."""
    if name not in SCRIPTS:
        source = (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8")
        return {"--help", *re.findall(r'"(--[a-z][\w-]*)"', source)}
    module, function = SCRIPTS[name].split(":")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        getattr(import_module(module), function)()
    return set(FLAG.findall(capsys.readouterr().out))


def test_flags_exist(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = [(page, *command) for page in PAGES for command in commands(page)]
    known = {name: known_flags(name, monkeypatch, capsys) for name in {name for _, name, _ in given}}
    wrong = [(page.name, name, flags - known[name]) for page, name, flags in given if not flags <= known[name]]
    assert len(given) > 200
    assert set(SCRIPTS) <= set(known)
    assert wrong == []
