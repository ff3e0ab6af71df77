#!/usr/bin/env python3
"""Starts `fluxgate up` in front of a demo model that misbehaves on demand, and lets the official
clients loose on it. Everything it starts is in a temporary folder, on free ports, and is ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = ROOT / "target" / os.environ.get("FLUXGATE_PROFILE", "debug")
MISBEHAVING = ["die-after=3", "wrong-json", "status=500", "status=503", "status=401", "status=429", "redirect"]
START_WITHIN_S = 20
LOG_TAIL_LINES = 40


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fluxgate-clients-") as folder:
        demo = start_demo()
        gateway = None
        try:
            gateway = start_gateway(Path(folder), demo_address(demo))
            ports = wait_for_ports(Path(folder) / "data", gateway)
            environment = os.environ | {
                "FLUXGATE_BASE_URL": f"http://{ports['web']}",
                "FLUXGATE_KEY": (Path(folder) / "data" / "first-key").read_text().strip(),
            }
            here = ROOT / "tests" / "clients"
            python = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], here / "python", environment)
            node = run(["node", "--test", "--test-reporter=spec"], here / "node", environment)
        finally:
            # Both, even where the first didn't end well.
            clean = all([end(gateway), end(demo)])
        verdicts = {"python": python == 0, "node": node == 0, "programs ended with 0": clean}
        print("clients:", ", ".join(f"{name} {'ok' if ok else 'FAILED'}" for name, ok in verdicts.items()))
        if all(verdicts.values()):
            return 0
        print_log(Path(folder))
        return 1


def start_demo() -> subprocess.Popen:
    listed = [word for behaviour in MISBEHAVING for word in ("--also-list", f"demo!{behaviour}")]
    command = [BINARIES / "fluxgate-demo", "--addr", "127.0.0.1:0", "--pace", "0", *listed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def demo_address(demo: subprocess.Popen) -> str:
    line = demo.stdout.readline()
    return line.split("listening on ")[1].strip()


def start_gateway(folder: Path, upstream: str) -> subprocess.Popen:
    free = "127.0.0.1:0"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLUXGATE", "GATEWAY"))}
    environment |= {
        "FLUXGATE_DATA_DIR": str(folder / "data"),
        "DOWNSTREAM_AI_URLS": upstream,
        "GATEWAY_HTTPS_ADDR": free,
        "GATEWAY_ADMIN_ADDR": free,
        "GATEWAY_METRICS_ADDR": free,
        "WEB_ADDR": free,
        "RUST_LOG": "warn",
    }
    with (folder / "gateway.log").open("wb") as log:
        return subprocess.Popen([BINARIES / "fluxgate", "up"], cwd=folder, env=environment, stdout=log, stderr=log)


def print_log(folder: Path) -> None:
    lines = (folder / "gateway.log").read_text(errors="replace").splitlines()
    print("the gateway's log ends so:", *lines[-LOG_TAIL_LINES:], sep="\n", file=sys.stderr)


def wait_for_ports(data: Path, gateway: subprocess.Popen) -> dict:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        if gateway.poll() is not None:
            print_log(data.parent)
            sys.exit(f"fluxgate up ended with {gateway.returncode}")
        if (data / "ports.json").exists() and (data / "first-key").exists():
            return json.loads((data / "ports.json").read_text())
        time.sleep(0.05)
    sys.exit("fluxgate up didn't start in time")


def run(command: list, folder: Path, environment: dict) -> int:
    return subprocess.run(command, cwd=folder, env=environment, timeout=240).returncode


def end(process: subprocess.Popen | None) -> bool:
    if process is None or process.poll() is not None:
        return process is not None and process.returncode == 0
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=10) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        return False


if __name__ == "__main__":
    sys.exit(main())
