"""nginx in front of a server, as deploy/nginx/emf.conf sets it up, with a certificate of its own."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx" / "emf.conf"
CERTIFICATE = "server.crt"
_START_SECONDS = 5.0


@contextmanager
def nginx_before(port: int, folder: Path, changes: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run nginx before a local port; give its address, `127.0.0.1:PORT`.

    Args:
        port: of the server.
        folder: for its files; `CERTIFICATE` there is the one to trust, `access.log` its log.
        changes: of the configuration's text.
    """
    certificate, key = folder / CERTIFICATE, folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    free = _free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    here = {
        "emf:8000": f"127.0.0.1:{port}",
        "listen 443 ssl": f"listen 127.0.0.1:{free} ssl",
        "/etc/nginx/tls": str(folder),
        "/dev/stdout": str(folder / "access.log"),
    }
    for ours, there in {**here, **(changes or {})}.items():
        assert ours in text, ours
        text = text.replace(ours, there)
    (folder / "emf.conf").write_text(text, encoding="utf-8")
    main = f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; include {folder}/emf.conf; }}"
    (folder / "nginx.conf").write_text(main, encoding="utf-8")
    nginx = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    subprocess.run([*nginx, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(nginx)
    try:
        _await_listener(free)
        yield f"127.0.0.1:{free}"
    finally:
        process.terminate()
        process.wait(10)


def _await_listener(port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
