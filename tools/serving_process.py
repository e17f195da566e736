"""emf-serve in a process of its own, watched from outside: its metrics, its memory, its open files."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

_CODE = "import sys; sys.argv[0] = 'emf-serve'\nfrom emf.serve.launch import serve\nsys.exit(serve())"
_END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """A server that listens.

    Attributes:
        process: of the server.
        addresses: `address` for HTTP, and those of the ports of single protocols by their names.
    """

    process: subprocess.Popen[bytes]
    addresses: Mapping[str, str]

    @property
    def url(self) -> str:
        """Of HTTP."""
        return self.addresses["address"]

    def samples(self) -> dict[str, float]:
        """All metrics by their names; those of a name are added up. Buckets have their bound: `name:0.05`."""
        found: dict[str, float] = {}
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            text = answer.read().decode()
        for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
            name = f"{sample.name}:{sample.labels['le']}" if "le" in sample.labels else sample.name
            found[name] = found.get(name, 0.0) + sample.value
        return found

    @property
    def is_empty(self) -> bool:
        """Whether no connection holds anything."""
        found = self.samples()
        return not (found["emf_streams"] or found["emf_sessions"] or found["emf_engine_streams"])

    def resident_bytes(self) -> int:
        """Resident memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def descriptors(self) -> int:
        """Open files and sockets."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())


@contextmanager
def serving_process(artifact: Path, flags: Sequence[str] = ()) -> Iterator[ServingProcess]:
    """Serve an artifact at free ports, with flags of emf-serve; end the server by SIGTERM."""
    command = [sys.executable, "-c", _CODE, str(artifact), "--json", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        yield ServingProcess(process, json.loads(line))
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
