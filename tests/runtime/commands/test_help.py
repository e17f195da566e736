"""What every command says of itself: its help, and its completion in a shell."""

import argparse
import subprocess
from importlib import import_module
from pathlib import Path
from shutil import which

import pytest

from emf.runtime.commands.command_line import CommandParser
from emf.runtime.commands.completion import SHELLS, completion
from tests.entry_points import SCRIPTS, run

NAMES = tuple(SCRIPTS)


def parser_of(command: str) -> CommandParser:
    """The parser in the module that the command launches."""
    module, function = SCRIPTS[command].split(":")
    room = module.removesuffix(".launch")
    home = room if room.endswith(".commands") else f"{room}.commands"
    parser: CommandParser = import_module(f"{home}.{function}").make_parser()
    return parser


def flags_of(parser: CommandParser) -> dict[str, argparse.Action]:
    return {flag: action for action in parser._actions for flag in action.option_strings}


@pytest.mark.parametrize("command", NAMES)
def test_help_is_in_groups_and_sentences(command: str) -> None:
    parser = parser_of(command)
    for action in parser._actions:
        text = action.help or ""
        assert text[:1].isupper() and text.endswith("."), action
    text = parser.format_help()
    usage = text.partition("\n\n")[0]
    assert usage.startswith(f"usage: {command} ") and usage.endswith("[flags]") and len(usage.splitlines()) <= 2
    for action in parser._actions:
        assert not action.required or (action.option_strings or [action.dest])[0] in usage
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings[-3:] == ["flags of every command:", "example:", "exit status:"], headings


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", NAMES)
def test_completion_has_every_flag(command: str, shell: str) -> None:
    parser = parser_of(command)
    script = completion(parser, shell)
    assert [flag for flag in flags_of(parser) if flag.lstrip("-") not in script] == []


@pytest.mark.skipif(which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("emf-transcribe --decoding-me", {"--decoding-method"}),
        ("emf-transcribe artifact --decoding-method gr", {"greedy"}),
        ("emf-serve --snapshot", {"--snapshot-store", "--snapshot-every"}),
        ("emf-quantize aud", {"audio.wav"}),
    ],
)
def test_bash_completes(typed: str, expected: set[str], tmp_path: Path) -> None:
    words = typed.split()
    (tmp_path / "audio.wav").touch()
    (tmp_path / "completion").write_text(completion(parser_of(words[0]), "bash"), encoding="utf-8")
    asked = (
        f"source ./completion; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; "
        f"$(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {words[0]} {words[-1]} {words[-2]}; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {word.strip() for word in done.stdout.split()} == expected, done.stderr


def test_a_command_prints_it() -> None:
    done = run("emf-transcribe", "--print-completion", "bash")
    assert (done.returncode, done.stderr) == (0, b"") and b"emf-transcribe" in done.stdout


def test_without_shtab_a_line_says_what_to_install() -> None:
    done = run("emf-transcribe", "--print-completion", "bash", prelude="sys.modules['shtab'] = None")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"pip install 'emformer-deploy[completion]'" in done.stderr
