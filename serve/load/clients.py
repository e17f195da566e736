"""The protocols that a load can speak. To add one, write its `Client` and add its line."""

from collections.abc import Callable, Mapping

from emf.runtime.errors import UsageError
from emf.serve.load.client import Client
from emf.serve.load.deepgram import DeepgramClient
from emf.serve.load.native import NativeClient
from emf.serve.load.openai import OpenAIClient
from emf.serve.load.sherpa import SherpaClient
from emf.serve.load.vosk import VoskClient

CLIENTS: Mapping[str, Callable[[], Client]] = {
    "emf": NativeClient,
    "openai": OpenAIClient,
    "deepgram": DeepgramClient,
    "vosk": VoskClient,
    "sherpa": SherpaClient,
}
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def address(url: str, path: str) -> str:
    """The URL of a protocol at a server: `http` becomes `ws`, and `path` is added where there is none.

    Raises:
        UsageError: it is no such URL.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "ws", url
    host, _, own_path = rest.partition("/")
    if scheme not in _SCHEMES or not host:
        raise UsageError(f"expected a URL such as ws://127.0.0.1:8000, found {url!r:.80}")
    return f"{_SCHEMES[scheme]}://{host}{'/' + own_path if own_path else path}"
