"""The snippets of docs/serve/deepgram.md give the library's text."""

import gc
from pathlib import Path
from typing import Any

import pytest

from tests.serve.deepgram.conftest import RECORDINGS, recording
from tests.serve.deepgram.talking import RATE
from tests.serve.live_server import LiveServer
from tests.test_docs import code

PAGE = Path(__file__).parents[3] / "docs" / "serve" / "deepgram.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_snippets(demo: LiveServer) -> None:
    names: dict[str, Any] = {}
    exec(compile(code(PAGE), str(PAGE), "exec"), names)
    server, samples = f"127.0.0.1:{demo.port}", recording("name")
    expected = demo.recognizer.transcribe(samples, RATE).text
    assert names["transcribe_live"](server, samples.tobytes(), RATE) == expected
    assert names["transcribe_file"](server, RECORDINGS / "name.flac") == expected
    gc.collect()  # the client leaves its connection to the collector, which warns of it
