"""Manifests as people write them."""

from pathlib import Path

import pytest

from emf.runtime import AudioError
from emf.runtime.speech.utterances import gather_utterances, read_speech_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    return tmp_path / "manifest.tsv"


@pytest.mark.parametrize(
    "text",
    [
        "path\ttranscript\tspeaker\na.wav\tone\tme\nb.wav\ttwo\t\n",
        "\ufeffpath\ttranscript\tspeaker\na.wav\tone\tme\nb.wav\ttwo\t\n",
        "Path\tTRANSCRIPT\t Speaker \r\na.wav\tone\tme\r\nb.wav\ttwo\t\r\n",
        "\ufeffPATH\tid\tTranscript\tSpeaker\na.wav\t1\tone\tme\nb.wav\t2\ttwo\t\n",
    ],
    ids=["plain", "byte order mark", "capitals and CRLF", "both"],
)
def test_headers(manifest: Path, text: str) -> None:
    manifest.write_text(text, encoding="utf-8", newline="")
    found = read_speech_manifest(manifest)
    assert [(u.path.name, u.transcript, u.speaker) for u in found] == [("a.wav", "one", "me"), ("b.wav", "two", "")]


@pytest.mark.parametrize("name", ["list.tsv", "list.TSV", "list.Tsv"])
def test_a_manifest_is_known_by_its_suffix(manifest: Path, name: str) -> None:
    path = manifest.with_name(name)
    path.write_text("path\na.wav\nb.wav\na.wav\n", encoding="utf-8")
    assert [u.path.name for u in gather_utterances([path])] == ["a.wav", "b.wav", "a.wav"]


def test_a_manifest_that_may_not_be_read(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest.write_text("path\na.wav\n", encoding="utf-8")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(AudioError, match="expected a manifest that may be read, but Permission denied"):
        read_speech_manifest(manifest, need_transcripts=False)
