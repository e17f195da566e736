"""One list of options: signatures, flags, checks, help and the page in the docs say the same."""

import argparse
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import emf.quantize.commands.quantize
import emf.quantize.commands.report
import emf.runtime.commands.bench
import emf.runtime.commands.confidence
import emf.runtime.commands.transcribe
from emf.runtime import Engine, Recognizer, UsageError
from emf.runtime.commands.command_line import CommandParser
from emf.runtime.commands.option_flags import flag_of
from emf.runtime.commands.recognizer_flags import VARIANT_OPTIONS, read_decoding
from emf.runtime.engine.options import EngineOptions
from emf.runtime.options import stated_options
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.search.options import SearchOptions

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from write_options import PAGE, options_page

COLLABORATORS = {"phrases", "language_model", "endpoint", "instrument"}
GUIDANCE_FLAGS = {"--phrases", "--language-model", "--language-model-weight", "--word-score"}
COMMANDS: dict[str, tuple[Callable[[], CommandParser], str]] = {
    "emf-transcribe": (emf.runtime.commands.transcribe.make_parser, "artifact audio.wav"),
    "emf-bench": (emf.runtime.commands.bench.make_parser, "artifact --audio audio.wav"),
    "emf-confidence": (emf.runtime.commands.confidence.make_parser, "artifact --dev dev.tsv"),
    "emf-report": (emf.quantize.commands.report.make_parser, "artifact --audio audio.tsv"),
    "emf-quantize": (emf.quantize.commands.quantize.make_parser, "artifact --precision auto --dev dev.tsv"),
}
OF_ONE_VARIANT = ("emf-transcribe", "emf-bench", "emf-confidence")
commands = pytest.mark.parametrize("command", COMMANDS)


def keywords(function: Callable[..., Any], apart_from: set[str]) -> dict[str, Any]:
    """Keyword-only parameters with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in apart_from}


def test_load_takes_the_options() -> None:
    assert keywords(Recognizer.load, COLLABORATORS) == {one.name: one.default for one in fields(RecognizerOptions)}


def test_an_engine_takes_the_options() -> None:
    assert keywords(Engine.__init__, {"clock"}) == {one.name: one.default for one in fields(EngineOptions)}


def test_annotations_agree() -> None:
    for function, options in ((Recognizer.load, RecognizerOptions), (Engine.__init__, EngineOptions)):
        taken = inspect.signature(function, eval_str=True).parameters
        for one in fields(options):
            assert taken[one.name].annotation == inspect.get_annotations(options)[one.name], one.name


@pytest.mark.parametrize("options", [RecognizerOptions, SearchOptions, EngineOptions])
def test_every_field_states_its_option_in_a_sentence(options: type) -> None:
    stated = stated_options(options)
    assert list(stated) == [one.name for one in fields(options)]
    for _, option in stated.values():
        assert option.help[0].isupper() and option.help.endswith(".") and "\n" not in option.help


def flags_of(parser: CommandParser) -> dict[str, argparse.Action]:
    return {flag: action for action in parser._actions for flag in action.option_strings if flag.startswith("--")}


@commands
def test_every_command_has_every_option_under_the_same_name(command: str) -> None:
    make, _ = COMMANDS[command]
    omitted = () if command in OF_ONE_VARIANT else VARIANT_OPTIONS
    wanted = {flag_of(one.name) for one in fields(RecognizerOptions) if one.name not in omitted}
    flags, text = flags_of(make()), " ".join(make().format_help().split())
    assert wanted | GUIDANCE_FLAGS <= flags.keys()
    for name, (_, stated) in stated_options(RecognizerOptions).items():
        if name not in omitted:
            assert flag_of(name) in text
            assert " ".join((flags[flag_of(name)].help or "").split()) in text
            assert stated.help in (flags[flag_of(name)].help or "")


@commands
def test_help_is_grouped_and_speaks_in_sentences(command: str) -> None:
    make, _ = COMMANDS[command]
    for flag, action in flags_of(make()).items():
        if flag not in ("--help", "--version"):
            text = action.help or ""
            assert text[0].isupper() and text.endswith("."), f"{flag}: {text}"
    headings = [group.title or "" for group in make()._action_groups]
    for heading in ("search", "audio", "machine", "guidance"):
        assert any(title.endswith(heading) for title in headings), headings


@commands
def test_without_flags_the_options_are_the_defaults(command: str) -> None:
    make, arguments = COMMANDS[command]
    omit = () if command in OF_ONE_VARIANT else VARIANT_OPTIONS
    decoding = read_decoding(make().parse_args(arguments.split()), omit)
    assert decoding.options == RecognizerOptions()
    assert (decoding.phrases, decoding.language_model) == ({}, None)


@commands
def test_flags_become_options(command: str) -> None:
    make, arguments = COMMANDS[command]
    given = (
        "--beam-width 3 --step-max-tokens 7 --beam-threshold 4.5 --stable-delay 1 --cache-dir cache --tail-padding 0"
    )
    options = read_decoding(make().parse_args([*arguments.split(), *given.split()]), VARIANT_OPTIONS).options
    assert (options.beam_width, options.step_max_tokens, options.beam_threshold) == (3, 7, 4.5)
    assert (options.stable_delay, options.cache_dir, options.tail_padding) == (1.0, Path("cache"), 0.0)


NUMBERS = [
    (options, name, value)
    for options in (RecognizerOptions, SearchOptions, EngineOptions)
    for name, (_, stated) in stated_options(options).items()
    if stated.kind in (int, float)
    for value in (stated.low - 1, stated.high + 1, stated.above, math.nan, "1", True)
    if isinstance(value, str | bool) or not math.isinf(value)
]


@pytest.mark.parametrize(
    ("options", "name", "value"), NUMBERS, ids=lambda value: str(getattr(value, "__name__", value))
)
def test_values_outside_their_bounds_are_refused(options: type, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"expected {name} ") as caught:
        options(**{name: value})
    assert "\n" not in str(caught.value)


@commands
@pytest.mark.parametrize("flags", ["--beam-width 0", "--beam-threshold 0", "--temperature nan", "--num-threads x"])
def test_flags_outside_their_bounds_take_one_line(command: str, flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, arguments = COMMANDS[command]
    with pytest.raises(SystemExit) as stop:
        make().parse_args([*arguments.split(), *flags.split()])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and flags.split()[0] in line and "expected a number" in line


def test_the_page_in_the_docs_is_up_to_date() -> None:
    """`python tools/write_options.py` writes it."""
    assert PAGE.read_text(encoding="utf-8") == options_page()
