"""emf-transcribe with --out: a corpus to a file of rows, by processes or by a cluster, taken up again where it was."""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emf.runtime.commands.command_line import CommandParser, Status, bounded
from emf.runtime.commands.live_audio import STANDARD_INPUT
from emf.runtime.commands.progress import Advance, progress_bar
from emf.runtime.commands.recognizer_flags import read_decoding
from emf.runtime.commands.terminal import Output, printable
from emf.runtime.corpus.corpus import Progress, Workers, absolute, transcribe_corpus, waiting_items
from emf.runtime.corpus.in_process import transcribe_here
from emf.runtime.corpus.job import Job
from emf.runtime.corpus.journal import Journal
from emf.runtime.corpus.processes import transcribe_in_processes
from emf.runtime.corpus.source import source_of
from emf.runtime.corpus.tally import Tally
from emf.runtime.errors import UsageError
from emf.runtime.inference.threads import available_processors
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.speech.utterances import Utterance, gather_corpus

_MAX_WORKERS = 4096
_SECONDS_PER_HOUR = 3600.0
_AUTO = "auto"
_RAY = "ray"

References = Callable[[Path, Sequence[Utterance]], list[str]]


def add_corpus_flags(parser: CommandParser) -> None:
    """Add the flags of a corpus."""
    corpus = parser.add_argument_group("corpus")
    corpus.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="Write a row for each recording to this file, a JSON object a line, as they are done. A run that was "
        "interrupted or killed goes on where it was. AUDIO may also be a folder of sound files.",
    )
    corpus.add_argument(
        "--workers",
        type=_workers,
        metavar="N|auto",
        help="Transcribe with this many workers; auto takes one a processor. Default: 1, this process itself.",
    )
    corpus.add_argument(
        "--cluster",
        type=_cluster,
        metavar="ray[:ADDRESS]",
        help="Put the workers on the machines of a Ray cluster: the one at the address, or the one that runs here, or "
        "a new one of this machine alone. All of them see the artifact under the same path.",
    )
    corpus.add_argument(
        "--send-audio",
        action="store_true",
        help="Read the recordings here and send them to the cluster, whose machines need not see them.",
    )
    corpus.add_argument(
        "--retry-failed", action="store_true", help="Try the recordings again that gave an error in a run before."
    )


def is_corpus(options: argparse.Namespace) -> bool:
    """Whether the flags ask for a corpus.

    Raises:
        UsageError: they ask for a part of it.
    """
    if options.out is not None:
        return True
    for flag in ("workers", "cluster", "send_audio", "retry_failed"):
        if getattr(options, flag):
            raise UsageError(f"expected --out FILE with --{flag.replace('_', '-')}; name a file for the rows")
    return False


def work_on_corpus(options: argparse.Namespace, output: Output, read_references: References) -> Status:
    """Transcribe a corpus; `read_references` gives the transcripts of a manifest for utterances."""
    _check_flags(options)
    utterances = gather_corpus(options.audio)
    if options.reference:
        texts = read_references(options.reference, utterances)
        utterances = [Utterance(one.path, text, one.speaker) for one, text in zip(utterances, texts, strict=True)]
    job = Job(
        absolute(options.artifact),
        read_decoding(options),
        EndpointRules() if options.endpoints else None,
        options.channel,
        options.batch_size,
    )
    source, workers = source_of(job), _choose(options)
    with Journal.open(options.out, source, options.retry_failed) as journal:
        before = journal.tally.rows
        num_waiting = len(waiting_items(utterances, journal.done))
        with progress_bar(num_waiting, "transcribing", "file") as advance:
            done = transcribe_corpus(job, utterances, journal, workers, _Shown(advance))
        if options.json:
            output.document(_document(options, source.id, journal.tally, before, done))
        else:
            output.text(_text(options, journal.tally, done))
        return _status(journal.tally)


class _Shown:
    """Shows how far a corpus is."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._done = advance, 0

    def __call__(self, progress: Progress) -> None:
        hours = progress.audio_s / _SECONDS_PER_HOUR
        self._advance(progress.done - self._done, f"{hours:.2f} h of audio, {progress.hours_per_hour:.0f} h/h")
        self._done = progress.done


def _choose(options: argparse.Namespace) -> Workers:
    if options.cluster is not None:
        from emf.runtime.corpus.ray_cluster import RayCluster

        address = options.cluster.removeprefix(_RAY).removeprefix(":") or None
        workers = None if options.workers == _AUTO else options.workers
        return RayCluster(address, workers, options.send_audio).transcribe
    workers = available_processors() if options.workers == _AUTO else options.workers or 1
    if workers > 1 and os.name == "nt":
        raise UsageError("expected --workers 1 on Windows, whose processes take over no sockets; or use --cluster ray")
    return transcribe_here if workers == 1 else partial(transcribe_in_processes, num_processes=workers)


def _check_flags(options: argparse.Namespace) -> None:
    for flag, unusual in (
        ("--partial", options.partial),
        ("--format", options.format != "text"),
        ("AUDIO -", STANDARD_INPUT in options.audio),
    ):
        if unusual:
            raise UsageError(
                f"expected no {flag} with --out, which takes recordings and writes JSON rows; leave one out"
            )
    if options.send_audio and options.cluster is None:
        raise UsageError("expected --cluster with --send-audio; leave one out")


def _status(tally: Tally) -> Status:
    if not tally.failed:
        return Status.DONE
    return Status.FAILED if tally.transcribed else Status.BAD_INPUT


def _document(options: argparse.Namespace, source: str, tally: Tally, before: int, done: Progress) -> dict[str, Any]:
    return {
        "out": str(options.out),
        "source": source,
        "rows": tally.rows,
        "rows_before": before,
        "failed": tally.failed,
        "audio_s": tally.audio_s,
        "wer": tally.word_error_rate,
        "run": {"rows": done.done, "audio_s": done.audio_s, "elapsed_s": done.elapsed_s},
        "hours_per_hour": done.hours_per_hour,
    }


def _text(options: argparse.Namespace, tally: Tally, done: Progress) -> str:
    lines = [
        f"{printable(str(options.out))}: {tally.rows} recordings, {tally.failed} of them failed, "
        f"{tally.audio_s / _SECONDS_PER_HOUR:.2f} hours of audio",
        f"this run: {done.done} recordings, {done.hours_per_hour:.1f} hours of audio in an hour",
    ]
    if tally.word_error_rate is not None:
        lines.append(f"word error rate {100 * tally.word_error_rate:.2f} %")
    return "\n".join(lines)


def _workers(text: str) -> int | str:
    return _AUTO if text == _AUTO else int(bounded(int, 1, _MAX_WORKERS)(text))


def _cluster(text: str) -> str:
    if (text != _RAY and not text.removeprefix(f"{_RAY}:").strip()) or text.split(":")[0] != _RAY:
        raise argparse.ArgumentTypeError(f"expected ray or ray:ADDRESS, found {text!r}")
    return text
