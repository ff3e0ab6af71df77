#!/usr/bin/env python3
"""Starts `fluxgate up` in front of demo models that misbehave on demand, one for each dialect that a
model server may speak, and lets the official clients loose on them."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import programs  # noqa: E402

# What the model server speaks. `all` is taken for an Ollama.
SERVERS = ["all", "openai", "anthropic"]
MISBEHAVIOURS = [
    "die-after=3", "fail-after=3", "wrong-json", "redirect",
    "status=400", "status=401", "status=429", "status=500", "status=503",
]  # fmt: skip
# Its server is gone once the gateway knows the model.
DOOMED = "doomed"
LISTED_WITHIN_S = 20
CLIENTS_WITHIN_S = 240
LOG_TAIL_LINES = 15


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fluxgate-clients-") as name, contextlib.ExitStack() as stack:
        gateways = {}
        for speaks in SERVERS:
            folder = Path(name) / speaks
            folder.mkdir()
            gateway = stack.enter_context(gateway_over(folder, speaks))
            keys = {"key": gateway.key, "path_key": gateway.new_key("--in-path"), "embed_key": gateway.new_key("--models", "demo-embed*")}
            gateways[speaks] = {"url": gateway.url} | keys
        environment = os.environ | {"FLUXGATE_GATEWAYS": json.dumps(gateways)}
        verdicts = {
            "python": run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sys.argv[1:], "."], "python", environment),
            "node": run(["node", "--test", "--test-reporter=spec"], "node", environment),
        }
        print("clients:", ", ".join(f"{name} {'ok' if ok else 'FAILED'}" for name, ok in verdicts.items()))
        if not all(verdicts.values()):
            for log in sorted(Path(name).glob("*/fluxgate.log")):
                programs.print_tail(log, LOG_TAIL_LINES)
            return 1
    return 0


@contextlib.contextmanager
def gateway_over(folder: Path, speaks: str) -> Iterator[programs.Gateway]:
    listed = [f"demo!{misbehaviour}" for misbehaviour in MISBEHAVIOURS]
    with programs.demo(folder, "demo", speaks, listed) as demo, contextlib.ExitStack() as doomed:
        doomed_url = doomed.enter_context(programs.demo(folder, DOOMED, speaks, [DOOMED]))
        upstreams = [{"name": "demo", "url": demo}, {"name": DOOMED, "url": doomed_url, "models": [DOOMED, f"{DOOMED}:latest"]}]
        with programs.fluxgate_up(folder, upstreams) as gateway:
            wait_until_listed(gateway, DOOMED)
            doomed.close()
            yield gateway


def wait_until_listed(gateway: programs.Gateway, model: str) -> None:
    until = time.monotonic() + LISTED_WITHIN_S
    while model not in listed_by(gateway):
        if time.monotonic() > until:
            raise RuntimeError(f"{model} isn't listed: {listed_by(gateway)}")
        time.sleep(0.05)


def listed_by(gateway: programs.Gateway) -> set[str]:
    request = urllib.request.Request(f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {gateway.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {model["id"].removesuffix(":latest") for model in json.load(answer)["data"]}


def run(command: list, folder: str, environment: dict) -> bool:
    return subprocess.run(command, cwd=HERE / folder, env=environment, timeout=CLIENTS_WITHIN_S).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
