"""Write docs/options.md: every option of a recognizer, an engine and a server, from the statements in the code.

python tools/write_options.py
"""

from pathlib import Path

from emf.runtime.commands.option_flags import default_of, flag_of
from emf.runtime.engine.options import EngineOptions
from emf.runtime.options import stated_options
from emf.runtime.recognition.options import RecognizerOptions
from emf.serve.options import ServeOptions

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
_HEAD = """# Options

Look up every option of a recognizer, an engine and the server: what it does, its range and its default.

`python tools/write_options.py` makes this page from the code.

## Recognizer

These are the keywords of `Recognizer.load`. `emf-transcribe`, `emf-bench` and `emf-confidence` have every flag;
`emf-report` and `emf-quantize --precision auto` have all but `--backend` and `--precision`, which they vary.
Beside them, `--phrases FILE`, `--language-model FILE`, `--language-model-weight` and `--word-score` guide the search.

"""
_ENGINE = """
## Engine

These are the keywords of [`Engine`](service.md).

"""
_SERVER = """
## Server

These are flags of [`emf-serve`](serve.md). It also has those of the recognizer, the rules for endpoints, `--protocols`,
`--allow-origin`, `--insecure` and `--workers`; its `--help` explains them.

"""


def options_page() -> str:
    """The whole page."""
    recognizer = _table(RecognizerOptions, keywords=True, flags=True)
    engine = _table(EngineOptions, keywords=True, flags=False)
    return _HEAD + recognizer + _ENGINE + engine + _SERVER + _table(ServeOptions, keywords=False, flags=True)


def _table(options: type, *, keywords: bool, flags: bool) -> str:
    head = [*(["keyword"] if keywords else []), *(["flag"] if flags else []), "what it does", "values", "default"]
    rows = [head, ["---"] * len(head)]
    for name, (field, stated) in stated_options(options).items():
        keyword, flag = [f"`{name}`"] if keywords else [], [f"`{flag_of(name)}`"] if flags else []
        rows.append(
            [*keyword, *flag, stated.help, stated.range.removeprefix("of ") or "any", default_of(field, stated)]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(options_page(), encoding="utf-8")
