"""Options of the server, from which the flags of emf-serve are made."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emf.runtime.engine.options import EngineOptions
from emf.runtime.errors import UsageError
from emf.runtime.options import check_options, option, same_option

_OWN_PORT: dict[str, Any] = {"kind": int, "low": 0, "high": 65_535, "group": "network", "unset": "no such port"}
_LONGEST = 7 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of a server; times in seconds. The help of each field explains it."""

    host: str = option("127.0.0.1", "Listen at this address.", group="network")
    port: int = option(8000, "Listen at this port; 0 takes a free one.", low=0, high=65_535, group="network")
    sherpa_port: int | None = option(None, "Serve sherpa-onnx's clients at this port, too.", **_OWN_PORT)
    vosk_port: int | None = option(None, "Serve Vosk's clients at this port, too.", **_OWN_PORT)
    wyoming_port: int | None = option(None, "Serve Home Assistant (Wyoming) at this port.", **_OWN_PORT)
    max_connections: int = option(
        2000, "Keep at most this many connections open, silent ones among them.", low=1, high=100_000, group="network"
    )
    language: str = option("en", "The language of the model, for clients that ask for it.", group="network")
    api_keys: Path | None = option(
        None,
        "Let in who has a key of this file: a key a line, then a name and the most streams at once.",
        kind=Path,
        unset="the keys in EMF_API_KEYS, or nobody needs one",
        group="access",
    )
    tls_cert: Path | None = option(
        None, "Encrypt with this certificate chain, in PEM.", kind=Path, unset="no TLS", group="access"
    )
    tls_key: Path | None = option(
        None, "The certificate's private key, in PEM.", kind=Path, unset="no TLS", group="access"
    )
    deadline_ms: float = same_option(EngineOptions, "deadline_ms")
    max_streams: int | None = same_option(EngineOptions, "max_streams")
    max_batch: int = same_option(EngineOptions, "max_batch")
    threads_per_worker: int | None = option(
        None, "Decode in this many threads of each worker.", kind=int, low=1, high=1024, unset="1", group="workers"
    )
    worker_timeout: float = option(
        5.0, "Give up a worker that shows no sign of life for this time.", low=0.2, high=600.0, group="workers"
    )
    idle_timeout: float = option(
        60.0, "End a session after this time without a message.", low=1.0, high=_LONGEST, group="sessions"
    )
    max_session: float = option(3600.0, "End a session after this time.", low=1.0, high=_LONGEST, group="sessions")
    max_backlog: float = option(
        300.0, "Let this many seconds of a session's audio wait to be decoded.", low=1.0, high=36_000, group="sessions"
    )
    resume_window: float = option(
        30.0, "Wait this long for a client whose connection broke.", low=0.0, high=3600.0, group="sessions"
    )
    snapshot_store: str | None = option(
        None,
        "Write sessions of the own protocol down in this folder or Redis, so that another server can go on with them.",
        kind=str,
        unset="nowhere",
        group="sessions",
    )
    snapshot_every: float = option(
        5.0, "Write them down after this many seconds of audio.", low=0.1, high=3600.0, group="sessions"
    )
    max_upload: int = option(256, "Take sound files of at most this many MiB.", low=1, high=65_536, group="sessions")
    drain: float = option(
        30.0, "Let sessions go on for this time after SIGTERM.", low=0.0, high=86_400.0, group="sessions"
    )
    log_format: str = option("text", "Write the log in this form.", choices=("text", "json"), group="logging")
    insecure: bool = False
    allow_origin: tuple[str, ...] = ()
    protocols: tuple[str, ...] = field(default=("emf",))

    def __post_init__(self) -> None:
        check_options(self)
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("--tls-cert", "--tls-key") if self.tls_key is None else ("--tls-key", "--tls-cert")
            raise UsageError(f"expected a certificate and its key, found {given} alone; add {missing}")
