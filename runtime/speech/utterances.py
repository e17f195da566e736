"""`manifest.tsv`: recordings with their transcripts."""

import csv
from dataclasses import dataclass
from pathlib import Path

from emf.runtime.errors import AudioError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording: where it lies, what is said (`None` without a transcript column), by whom."""

    path: Path
    transcript: str | None
    speaker: str


def read_speech_manifest(path: Path, need_transcripts: bool = True, need_files: bool = True) -> list[Utterance]:
    """Read a tab-separated table with a header row; `path` is relative to the table's folder.

    Capitals in the header and a byte order mark in front of it make no difference.

    Args:
        path: the table; the columns `path` and, where needed, `transcript` are read, and `speaker`.
        need_transcripts: whether every row must have a transcript.
        need_files: whether every recording must be there.

    Raises:
        AudioError: missing, malformed, without rows, or naming files that do not exist.
    """
    if not path.is_file():
        raise AudioError(f"{path}: expected a manifest.tsv with recordings, but there is no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise AudioError(f"{path}: {path.stat().st_size} bytes are too many for a manifest")
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
            rows = list(reader)
    except OSError as error:
        raise AudioError(f"{path}: expected a manifest that may be read, but {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AudioError(f"{path}: expected a tab-separated table in UTF-8 ({error})") from error
    wanted = ["path", "transcript"] if need_transcripts else ["path"]
    missing = [column for column in wanted if column not in columns]
    if missing:
        raise AudioError(
            f"{path}: expected a header row with {' and '.join(wanted)}, {' and '.join(missing)} is missing"
        )
    if not rows:
        raise AudioError(f"{path}: expected recordings, found a header row only")
    return [_utterance(path, number, row, need_files) for number, row in enumerate(rows, start=2)]


def _utterance(manifest: Path, number: int, row: dict[str, str | None], need_file: bool) -> Utterance:
    audio = manifest.parent / (row["path"] or "")
    if not row["path"] or (need_file and not audio.is_file()):
        raise AudioError(f"{manifest}, line {number}: there is no recording {row['path']!r}")
    return Utterance(audio, row.get("transcript"), row.get("speaker") or "")


def gather_utterances(paths: list[Path]) -> list[Utterance]:
    """Sound files as they are, and the rows of every `.tsv` (in any capitals) among them."""
    found: list[Utterance] = []
    for path in paths:
        if path.suffix.lower() == ".tsv":
            found += read_speech_manifest(path, need_transcripts=False)
        else:
            found.append(Utterance(path, None, ""))
    return found


def gather_corpus(paths: list[Path]) -> list[Utterance]:
    """As `gather_utterances`, of recordings that may be missing, and with folders among the paths.

    A folder stands for its `manifest.tsv`, or for the sound files in it and below.

    Raises:
        AudioError: a folder has neither, or a manifest is malformed.
    """
    found: list[Utterance] = []
    for path in paths:
        manifest = path / "manifest.tsv" if path.is_dir() else path
        if manifest.suffix.lower() == ".tsv" and (manifest == path or manifest.is_file()):
            found += read_speech_manifest(manifest, need_transcripts=False, need_files=False)
        elif path.is_dir():
            found += [Utterance(file, None, "") for file in sound_files(path)]
        else:
            found.append(Utterance(path, None, ""))
    return found


def sound_files(folder: Path) -> list[Path]:
    """The sound files in a folder and below, by their suffixes, in order.

    Raises:
        AudioError: there are none.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise AudioError(f"{folder}: expected sound files, found none; name a manifest or a folder that holds speech")
    return files
