"""Workers as processes of this machine."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

import msgspec

from emf.serve.workers.frames import FrameSocket
from emf.serve.workers.link import Link, Loss
from emf.serve.workers.main import Begin
from emf.serve.workers.messages import Frame
from emf.serve.workers.spec import WorkerSpec


class ProcessLink:
    """See `Link`."""

    def __init__(self, frames: FrameSocket, process: subprocess.Popen[bytes]) -> None:
        self._frames, self.process = frames, process

    def send(self, frame: bytes) -> None:
        """See `Link`."""
        self._frames.send(frame)

    async def receive(self) -> Frame | None:
        """See `Link`."""
        return await self._frames.receive()

    def sever(self) -> None:
        """See `Link`. A stopped process ends, too, and never wakes."""
        self._frames.close()
        if self.process.poll() is None:
            self.process.kill()
            threading.Thread(target=self.process.wait, daemon=True).start()

    async def loss(self) -> Loss:
        """See `Link`."""
        status = await asyncio.to_thread(self.process.wait)
        if status == 0:
            return Loss.STOPPED
        return Loss.KILLED if status == -signal.SIGKILL else Loss.CRASHED


class ProcessLauncher:
    """Begins workers as processes of this machine; see `Launcher`."""

    def __init__(self, spec: WorkerSpec, cores: Sequence[tuple[int, ...]]) -> None:
        """Begin workers that open `spec`; `cores` are those of each worker."""
        self._spec, self._cores = spec, cores

    async def launch(self, number: int) -> Link:
        """See `Launcher`."""
        here, there = socket.socketpair()
        with there:
            command = [sys.executable, "-P", "-m", "emf.serve.workers.main", str(there.fileno())]
            process = await asyncio.to_thread(
                subprocess.Popen,
                command,
                pass_fds=(there.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        frames = await FrameSocket.over(here)
        frames.send(msgspec.msgpack.encode(Begin(self._spec, self._cores[number])))
        return ProcessLink(frames, process)
