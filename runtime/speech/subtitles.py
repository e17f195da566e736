"""Words with times as subtitles: SubRip (`.srt`) and WebVTT (`.vtt`)."""

from collections.abc import Iterable, Sequence

from emf.runtime.recognition.result import Word

MAX_CAPTION_SECONDS = 6.0
MAX_CAPTION_CHARACTERS = 80
MAX_GAP_SECONDS = 1.0


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


def to_srt(words: Sequence[Word]) -> str:
    """SubRip text."""
    blocks = [
        f"{index}\n{_clock(group[0].start, ',')} --> {_clock(group[-1].end, ',')}\n{_line(group)}\n"
        for index, group in enumerate(captions(words), start=1)
    ]
    return "\n".join(blocks)


def to_vtt(words: Sequence[Word]) -> str:
    """WebVTT text."""
    blocks = [
        f"{_clock(group[0].start, '.')} --> {_clock(group[-1].end, '.')}\n{_line(group)}\n" for group in captions(words)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _line(group: Sequence[Word]) -> str:
    return " ".join(word.word for word in group)


def _clock(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{separator}{rest % 1000:03}"
