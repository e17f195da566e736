"""Compare what real clients of every protocol understand with the library's text of the same samples.

Example:
    python tools/compare_clients.py artifacts/demo an4/manifest.tsv fsdd/manifest.tsv --recordings 120

Starts emf-serve with its defaults, and sends each recording by every protocol: in turn in all rates and encodings that
the protocol takes, at the pace of speech and as fast as it goes. Prints each text that differs, and a line for each
client. The exit status is 1 where a text differs or a client fails.

The library's text is that of its own loop, with the endpoints of the protocol: what is told as final cannot be changed
by what follows. `without_endpoints` counts the texts that `Recognizer.transcribe`, which has none, gives as well;
`split` those in which an endpoint fell within a word, which clients join by a space.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from agent_clients import AGENTS
from client_speech import Form, Speech, read_speech
from real_clients import CLIENTS, Server

from emf.runtime import EndpointRules, Recognizer
from emf.runtime.speech.utterances import gather_utterances

_MESSAGE_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.0317)
_PROTOCOLS = ("vosk", "sherpa", "wyoming")
_ALL = CLIENTS | AGENTS
_SECONDS = 60.0
"""That a call may take beyond its audio."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recording by one client."""

    client: str
    path: Path
    form: Form
    is_live: bool
    message_seconds: float

    def __str__(self) -> str:
        pace = "live" if self.is_live else "fast"
        return f"{self.client} {self.form} {pace} {self.message_seconds:g} s {self.path.name}"

    def speech(self) -> Speech:
        """The recording as it is sent."""
        return read_speech(self.path, self.form, self.is_live, self.message_seconds)


@dataclass(slots=True)
class Tally:
    """What came of the cases, by client."""

    same: Counter[str]
    split: Counter[str]
    different: Counter[str]
    failed: Counter[str]
    without_endpoints: Counter[str]


def cases(names: Sequence[str], paths: Sequence[Path], everything: bool) -> Iterator[Case]:
    """Each recording by every client: in the next of its forms and paces, or in all of them."""
    for number, path in enumerate(paths):
        for name in names:
            client = _ALL[name]
            ways = [(form, live) for form in client.forms for live in ((False, True) if client.is_live else (False,))]
            for form, live in ways if everything else [ways[number % len(ways)]]:
                yield Case(name, path, form, live, _MESSAGE_SECONDS[number % len(_MESSAGE_SECONDS)])


@contextmanager
def serving(arguments: Sequence[str]) -> Iterator[Server]:
    """emf-serve in a process of its own, at free ports."""
    code = "import sys; from emf.serve.launch import serve; sys.exit(serve())"
    ports = [f"--{name}-port=0" for name in _PROTOCOLS]
    command = [sys.executable, "-c", code, *arguments, "--port", "0", *ports]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield _addresses(process)
    finally:
        process.terminate()
        process.wait(60)


def _addresses(process: "subprocess.Popen[str]") -> Server:
    assert process.stderr is not None
    found: list[int] = []
    for line in process.stderr:
        if match := re.search(r" at \w+://.*:(\d+)$|^listening on .*:(\d+)$", line.strip()):
            found.append(int(match[1] or match[2]))
        else:
            sys.stderr.write(line)
        if len(found) == 1 + len(_PROTOCOLS):
            port, sherpa, vosk, wyoming = found
            return Server(port, vosk, sherpa, wyoming)
    raise SystemExit("emf-serve did not start")


def library_text(recognizer: Recognizer, speech: Speech, endpoint: EndpointRules | None) -> str:
    """The text of the library's loop, whose segments end by these rules."""
    stream = recognizer.create_stream(endpoint=endpoint)
    stream.accept_waveform(speech.form.sample_rate, speech.heard)
    stream.input_finished()
    tokens: list[int] = []
    while recognizer.is_ready(stream):
        recognizer.decode_streams([stream])
        if recognizer.is_endpoint(stream):
            tokens += recognizer.reset(stream).token_ids
    return recognizer.tokens.text([*tokens, *recognizer.get_result(stream).token_ids]).strip()


async def compare(server: Server, recognizer: Recognizer, planned: Sequence[Case], at_once: int) -> Tally:
    """Run the cases, some at once, and print what differs."""
    tally, waiting = Tally(*(Counter() for _ in fields(Tally))), iter(planned)

    async def work() -> None:
        for case in waiting:
            client, speech = _ALL[case.client], case.speech()
            expected = await asyncio.to_thread(library_text, recognizer, speech, client.endpoint)
            unbroken = await asyncio.to_thread(library_text, recognizer, speech, None)
            try:
                async with asyncio.timeout(_SECONDS + len(speech.heard) / speech.form.sample_rate):
                    text = await client.transcribe(server, speech)
            except Exception as error:
                tally.failed[case.client] += 1
                _print(f"FAILED {case}: {type(error).__name__}: {error}")
                continue
            tally.without_endpoints[case.client] += text == unbroken
            if text == expected:
                tally.same[case.client] += 1
                continue
            is_split = text.replace(" ", "") == expected.replace(" ", "")
            (tally.split if is_split else tally.different)[case.client] += 1
            _print(f"{'SPLIT' if is_split else 'DIFFERENT'} {case}\n  library {expected!r}\n  client  {text!r}")

    await asyncio.gather(*(work() for _ in range(at_once)))
    return tally


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("audio", type=Path, nargs="+", help="sound files, or manifests that list them")
    parser.add_argument("--recordings", type=int, help="that many of them, drawn by chance; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", default=",".join(CLIENTS), help=f"default: all but {', '.join(AGENTS)}")
    parser.add_argument("--every-form", action="store_true", help="each recording in all forms and paces")
    parser.add_argument("--decoding-method", default="beam")
    parser.add_argument("--at-once", type=int, default=8, help="clients at once")
    parser.add_argument("--serve", default="", help="further flags of emf-serve, separated by spaces")
    return parser


def main() -> None:
    """Run the script."""
    options = _parser().parse_args()
    paths = [utterance.path for utterance in gather_utterances(options.audio)]
    if options.recordings is not None and options.recordings < len(paths):
        paths = random.Random(options.seed).sample(paths, options.recordings)
    method = options.decoding_method
    recognizer = Recognizer.load(options.artifact, decoding_method=method, num_threads=1)
    planned = list(cases(options.clients.split(","), paths, options.every_form))
    flags = [str(options.artifact), "--decoding-method", method, "--max-streams", "64", *options.serve.split()]
    with serving(flags) as server:
        tally = asyncio.run(compare(server, recognizer, planned, options.at_once))
    for name in options.clients.split(","):
        counts = {field.name: getattr(tally, field.name)[name] for field in fields(tally)}
        _print(json.dumps({"client": name, **counts}))
    sys.exit(1 if tally.different.total() or tally.failed.total() else 0)


if __name__ == "__main__":
    main()
