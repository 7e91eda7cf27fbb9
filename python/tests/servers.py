"""Real servers and workers, as processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import hone

ROOT = Path(__file__).resolve().parents[2]

CAMPAIGN = """
name: {name}
space: shapes
policy: careful
generator: shapes
seed: 7
samples: {samples}
rounds: {rounds}
evaluation: {{target: 100}}
learn_from: [{{model_line: {line}}}]
gates: [format]
"""


class Server:
    """A server with its data, which may be killed and started again on the same port."""

    def __init__(self, binary: str, directory: Path, *flags: str) -> None:
        self.binary, self.directory, self.flags = binary, directory, flags
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = hone.Client(self.url)
        self._serving: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> Server:
        data, listen = str(self.directory / "data"), f"127.0.0.1:{self.port}"
        self._serving = self._spawn("serve", "--data", data, "--listen", listen, *self.flags)
        self.client.status()  # waits until it answers
        return self

    def kill(self) -> None:
        """As a power failure would."""
        assert self._serving is not None
        self._serving.send_signal(signal.SIGKILL)
        self._serving.wait()

    def work(self, *flags: str) -> None:
        name = f"w{len(self._workers)}"
        arguments = ("--server", self.url, "--name", name, "--data", str(self.directory / name))
        self._workers.append(self._spawn("work", *arguments, *flags))

    def hone(self, *arguments: str) -> str:
        environment = {**os.environ, "HONE_SERVER": self.url}
        ran = subprocess.run([self.binary, *arguments], env=environment, cwd=ROOT, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout.decode()

    def campaign(self, name: str, *, line: str, samples: int = 200, rounds: int = 1) -> None:
        document = self.directory / f"{name}.yaml"
        document.write_text(CAMPAIGN.format(name=name, line=line, samples=samples, rounds=rounds))
        self.hone("campaign", "create", str(document))

    def stop(self) -> None:
        for process in [*self._workers, self._serving]:
            if process is not None:
                process.kill()
                process.wait()

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.directory / "log", "ab") as log:
            # Each in a group of its own: a Ctrl-C at the tests is not theirs.
            return subprocess.Popen([self.binary, *arguments], stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
