"""The Python in docs/serve/openai.md works."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.serve.live_server import LiveServer
from tests.serve.openai.speech import encoded, recording
from tests.serve.recordings import RECORDINGS

PAGE = Path(__file__).parents[3] / "docs" / "serve" / "openai.md"


def test_the_snippets(demo_server: LiveServer, capsys: pytest.CaptureFixture[str]) -> None:
    snippets: dict[str, Any] = {}
    for source in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(source, str(PAGE), "exec"), snippets)
    url, transcribe = demo_server.url("/v1", "http"), demo_server.recognizer.transcribe
    text, words = snippets["transcribe_file"](url, "key", RECORDINGS / "date.flac")
    assert text == transcribe(recording("date", 16_000), 16_000).text
    assert [word for word, _, _ in words] == text.split()
    data, heard = encoded(recording("date", 24_000), 24_000, "PCM_16")
    live = asyncio.run(snippets["transcribe_live"](url, "key", [data[:9_999], data[9_999:]]))
    assert live == capsys.readouterr().out == transcribe(heard, 24_000).text
