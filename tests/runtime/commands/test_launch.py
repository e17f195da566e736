"""The launchers and live audio within this process; `test_standard_streams.py` runs them as they are installed."""

import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from emf.runtime.commands import launch
from emf.runtime.commands.live_audio import LiveAudio


def module(name: str, main: object, monkeypatch: pytest.MonkeyPatch) -> str:
    made = ModuleType(name)
    made.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, made)
    monkeypatch.setattr(sys, "argv", ["/bin/emf-something"])
    return name


@pytest.mark.parametrize("name", ["transcribe", "bench", "confidence"])
def test_the_entry_points_run_their_commands(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"emf-{name}", "--version"])
    with pytest.raises(SystemExit) as ended:
        getattr(launch, name)()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"emf-{name} ")


def test_the_status_is_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert launch.launch(module("some_command", lambda: 1, monkeypatch), "extra") == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise KeyboardInterrupt

    assert launch.launch(module("some_command", main, monkeypatch), "extra") == 130
    assert capsys.readouterr().err == "emf-something: interrupted\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["emf-something"])
    assert launch.launch("package_that_nobody_has.command", "extra") == 2
    assert "needs the package package_that_nobody_has; run: pip install" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        launch.launch("emf.runtime.no_such_module", "extra")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_live_audio_ends_with_a_signal_and_keeps_what_came(number: signal.Signals) -> None:
    def blocks() -> Iterator[int]:
        yield 1
        yield 2
        signal.raise_signal(number)  # while the next block is awaited
        yield 3

    live = LiveAudio()
    assert list(live.until_interrupted(blocks())) == [1, 2]
    assert live.interrupted


def test_a_signal_while_a_block_is_decoded_does_not_break_it_off() -> None:
    live, heard = LiveAudio(), []
    for block in live.until_interrupted(iter([1, 2, 3])):
        if block == 2:
            signal.raise_signal(signal.SIGINT)
        heard.append(block)
    assert heard == [1, 2]
    assert live.interrupted


def test_live_audio_that_ends_by_itself() -> None:
    live = LiveAudio()
    assert list(live.until_interrupted([1, 2])) == [1, 2]
    assert not live.interrupted
