"""Programs of a run's own: the demo model, `fluxgate up`, and whatever else has to run for a while.

Each is on a free port of 127.0.0.1, keeps its files in the given folder, and is ended with the run.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARIES = ROOT / "target" / os.environ.get("FLUXGATE_PROFILE", "debug")
START_WITHIN_S = 60
STOP_WITHIN_S = 15
LOG_TAIL_LINES = 40


@dataclass(frozen=True)
class Gateway:
    """A gateway that is ready: where the API is, a key, every address it listens on, its data folder."""

    url: str
    key: str
    ports: dict
    data: Path

    def new_key(self, *options: str) -> str:
        command = [BINARIES / "fluxgate", "--output", "json", "keys", "create", "--name", "test", *options]
        environment = unset("FLUXGATE", "GATEWAY") | {"FLUXGATE_DATA_DIR": str(self.data)}
        made = subprocess.run(command, cwd=self.data, env=environment, stdout=subprocess.PIPE, check=True, timeout=20)
        return json.loads(made.stdout)["key"]


@contextlib.contextmanager
def running(name: str, command: list, folder: Path, ready: Callable[[], bool], *, ends_clean=False, within_s=START_WITHIN_S, **options) -> Iterator[None]:
    """A program from its readiness to its end; what it said is shown where either goes wrong."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        until = time.monotonic() + within_s
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} didn't start (exit code {process.poll()})")
            time.sleep(0.05)
        yield
        end(name, process)
        if ends_clean and process.returncode != 0:
            raise RuntimeError(f"{name} ended with {process.returncode}")
    except BaseException:
        print_tail(log)
        raise
    finally:
        end(name, process)


def print_tail(log: Path, lines: int = LOG_TAIL_LINES) -> None:
    print(f"{log.parent.name}/{log.name} ends so:", *log.read_text(errors="replace").splitlines()[-lines:], sep="\n", file=sys.stderr)


def end(name: str, process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        print(f"{name} had to be killed", file=sys.stderr)


@contextlib.contextmanager
def demo(folder: Path, name: str = "demo", speaks: str = "all", also_list: list[str] = []) -> Iterator[str]:
    """The address of a demo model that answers as fast as it goes."""
    log = folder / f"{name}.log"
    listed = [word for model in also_list for word in ("--also-list", model)]
    command = [BINARIES / "fluxgate-demo", "--addr", "127.0.0.1:0", "--pace", "0", "--speaks", speaks, *listed]
    with running(name, command, folder, lambda: log.read_text().endswith("\n"), ends_clean=True):
        yield log.read_text().split("listening on ")[1].strip()


@contextlib.contextmanager
def fluxgate_up(folder: Path, upstreams: list[dict], log: str = "warn") -> Iterator[Gateway]:
    """`fluxgate up` in front of these; each is what an `[[upstreams]]` entry holds. Its log is `fluxgate.log`."""
    entries = [["[[upstreams]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items()), ""] for entry in upstreams]
    (folder / "fluxgate.toml").write_text("\n".join(line for entry in entries for line in entry))
    data, free = folder / "data", "127.0.0.1:0"
    listeners = ("GATEWAY_HTTPS_ADDR", "GATEWAY_ADMIN_ADDR", "GATEWAY_METRICS_ADDR", "WEB_ADDR")
    environment = unset("FLUXGATE", "GATEWAY", "DOWNSTREAM") | dict.fromkeys(listeners, free)
    environment |= {"FLUXGATE_DATA_DIR": str(data), "RUST_LOG": log}
    ports, key = data / "ports.json", data / "first-key"

    def ready() -> bool:
        return ports.exists() and key.exists() and answers(f"http://{json.loads(ports.read_text())['metrics']}/readyz")

    with running("fluxgate", [BINARIES / "fluxgate", "up"], folder, ready, ends_clean=True, env=environment):
        addresses = json.loads(ports.read_text())
        yield Gateway(f"http://{addresses['web']}", key.read_text().strip(), addresses, data)


def unset(*prefixes: str) -> dict[str, str]:
    """The environment without what would set up the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False
