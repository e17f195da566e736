"""Random sentences of the demo model's domain: spelled names, numbers, dates, digit strings and commands.

The patterns are those of the AN4 database ("rubout g m e f three nine", "june eleventh nineteen sixty seven")
filled with fresh words, so that synthesised voices say what the few speakers of AN4 do not.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# fmt: off
COMMANDS = (
    "up", "down", "left", "right", "go", "yes", "no", "stop", "start", "help", "repeat", "enter", "erase", "rubout",
)
SPOKEN_ALONE = (
    *DIGITS, "up", "down", "left", "right", "go", "yes", "no",
)
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth",
)
# fmt: on
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SUFFIXES = ("a v e", "s t r e e t", "r o a d", "d r i v e", "l a n e", "c o u r t", "p l a c e")


def _below_hundred(rng: random.Random) -> str:
    """A number below one hundred, in words."""
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(DIGITS)
    if kind < 0.4:
        return rng.choice(_TEENS)
    return rng.choice(_TENS) if kind < 0.5 else f"{rng.choice(_TENS)} {rng.choice(DIGITS[1:])}"


def _number(rng: random.Random) -> str:
    """A number as people say it: digit by digit, in pairs, or with hundreds and thousands."""
    kind = rng.random()
    if kind < 0.3:
        return " ".join(rng.choice((*DIGITS[1:], "oh")) for _ in range(rng.randint(1, 4)))
    if kind < 0.6:
        return _below_hundred(rng)
    if kind < 0.8:
        return f"{_below_hundred(rng)} {_below_hundred(rng)}"
    hundreds = f"{rng.choice(DIGITS[1:])} hundred" + (f" and {_below_hundred(rng)}" if rng.random() < 0.6 else "")
    return hundreds if kind < 0.9 else f"{rng.choice(DIGITS[1:])} thousand {hundreds}"


def digit_string(rng: random.Random, shortest: int = 3, longest: int = 7) -> str:
    """Connected digits, "zero" sometimes said "oh"."""
    digits = [rng.choice(DIGITS) for _ in range(rng.randint(shortest, longest))]
    return " ".join("oh" if digit == "zero" and rng.random() < 0.3 else digit for digit in digits)


def _date(rng: random.Random, _: Sequence[str]) -> str:
    """A date: month, ordinal day, often a year."""
    day = rng.choice((*_ORDINALS, *(f"twenty {name}" for name in _ORDINALS[:9]), "thirtieth", "thirty first"))
    year = rng.choice(
        (f"nineteen {rng.choice(_TENS[1:])} {rng.choice(DIGITS[1:])}", f"nineteen {rng.choice(_TENS)}", "")
    )
    return f"{rng.choice(_MONTHS)} {day} {year}".strip()


def _code(rng: random.Random, _: Sequence[str]) -> str:
    """An editing command, random letters and a number: "erase q q f seven"."""
    letters = " ".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 6)))
    return f"{rng.choice(('rubout', 'erase', 'enter', '', '', ''))} {letters} {_number(rng)}".strip()


def _spelled(rng: random.Random, words: Sequence[str]) -> str:
    """A word spelled letter by letter."""
    return " ".join(rng.choice(words).replace("'", ""))


def _address(rng: random.Random, words: Sequence[str]) -> str:
    """A house number and a spelled street, sometimes with "ave" or "street" spelled too."""
    suffix = rng.choice(_SUFFIXES) if rng.random() < 0.3 else ""
    return f"{_number(rng)} {_spelled(rng, words)} {suffix}".strip()


def _command(rng: random.Random, _: Sequence[str]) -> str:
    """One to three command words."""
    return " ".join(rng.choice(COMMANDS) for _ in range(rng.choice((1, 1, 2, 3))))


def _digits(rng: random.Random, _: Sequence[str]) -> str:
    return digit_string(rng, 3, 10)


def _enter(rng: random.Random, _: Sequence[str]) -> str:
    return f"{rng.choice(('enter', 'enter', ''))} {_number(rng)}".strip()


_Pattern = Callable[[random.Random, Sequence[str]], str]
_PATTERNS: tuple[tuple[_Pattern, float], ...] = (
    (_spelled, 0.28),
    (_code, 0.24),
    (_digits, 0.20),
    (_enter, 0.08),
    (_date, 0.06),
    (_address, 0.06),
    (_command, 0.08),
)


def sentence(rng: random.Random, words: Sequence[str]) -> str:
    """Draw one sentence.

    Args:
        rng: source of randomness; equal states give equal sentences.
        words: lower-case words to spell.

    Returns:
        Lower-case words separated by single spaces, letters being words of their own.
    """
    patterns, weights = zip(*_PATTERNS, strict=True)
    pattern: _Pattern = rng.choices(patterns, weights)[0]
    return pattern(rng, words)


def single_word(rng: random.Random) -> str:
    """A digit or a command word on its own."""
    return rng.choice(DIGITS if rng.random() < 0.6 else COMMANDS)


def words_to_spell(manifest: Path) -> list[str]:
    """The distinct words of 3 to 10 letters in the transcripts of a manifest, sorted."""
    words = {word for line in manifest.read_text().splitlines()[1:] for word in line.split("\t")[3].split()}
    return sorted(word for word in words if 3 <= len(word) <= 10)
