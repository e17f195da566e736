"""Words with times as subtitles: SubRip (`.srt`) and WebVTT (`.vtt`)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from math import inf

from emf.runtime.recognition.result import Word

MAX_CAPTION_SECONDS = 6.0
MAX_CAPTION_CHARACTERS = 80
MAX_GAP_SECONDS = 1.0
MIN_CAPTION_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Caption:
    """A line of words, and when it is shown, in seconds."""

    start: float
    end: float
    text: str


def captions(words: Iterable[Word]) -> list[list[Word]]:
    """Group words into captions, broken at pauses and where one grows too long to read."""
    groups: list[list[Word]] = []
    for word in words:
        group = groups[-1] if groups else []
        text_length = sum(len(w.word) + 1 for w in group) + len(word.word)
        if (
            not group
            or word.start - group[-1].end > MAX_GAP_SECONDS
            or word.end - group[0].start > MAX_CAPTION_SECONDS
            or text_length > MAX_CAPTION_CHARACTERS
        ):
            groups.append([])
        groups[-1].append(word)
    return groups


def timed_captions(words: Iterable[Word], duration: float | None = None) -> Iterator[Caption]:
    """Captions that stay long enough to be read, where neither their neighbours nor the audio's end forbid it.

    Args:
        words: with their times.
        duration: of the audio, in seconds.
    """
    groups = captions(words)
    shown_until = 0.0
    for group, following in zip_longest(groups, groups[1:]):
        latest = following[0].start if following else inf if duration is None else duration
        start, end = group[0].start, group[-1].end
        end = max(end, min(start + MIN_CAPTION_SECONDS, latest))
        start = min(start, max(shown_until, end - MIN_CAPTION_SECONDS))
        shown_until = end
        yield Caption(start, end, " ".join(word.word for word in group))


def to_srt(words: Iterable[Word], duration: float | None = None) -> str:
    """SubRip text; `duration` of the audio in seconds, where no caption is to end after it."""
    blocks = [
        f"{index}\n{_clock(caption.start, ',')} --> {_clock(caption.end, ',')}\n{caption.text}\n"
        for index, caption in enumerate(timed_captions(words, duration), start=1)
    ]
    return "\n".join(blocks)


def to_vtt(words: Iterable[Word], duration: float | None = None) -> str:
    """WebVTT text, in which no word is taken for a tag or a clock; for `duration` see `to_srt`."""
    blocks = [
        f"{_clock(caption.start, '.')} --> {_clock(caption.end, '.')}\n{escape(caption.text, quote=False)}\n"
        for caption in timed_captions(words, duration)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def join_documents(documents: Sequence[tuple[str, str]]) -> str:
    """One document as it is; several each behind a line `==> name <==`.

    Args:
        documents: name and text of each.
    """
    if len(documents) == 1:
        return documents[0][1]
    return "\n".join(f"==> {name} <==\n{text}" for name, text in documents)


def _clock(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{separator}{rest % 1000:03}"
