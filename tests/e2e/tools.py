#!/usr/bin/env python3
"""The tools that people point at a gateway, as they come, on the demo model behind `fluxgate up`: coding
agents finish a small task, frameworks chat, call a tool, stream and fail, and Open WebUI answers two people."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import open_webui  # noqa: E402
import programs  # noqa: E402

ROOT = HERE.parent.parent
MISBEHAVIOURS = ["die-after=3", "status=503"]
# What each request was, for who asked.
LOG = "warn,fluxgate_gateway::record=info"
INSTALL_LOG_LINES = 3


@dataclass(frozen=True)
class Place:
    """Where a tool runs: an empty home of its own, nothing of the caller's environment."""

    gateway: programs.Gateway
    cache: Path
    home: Path

    def run(self, command: list, within_s: int, status: int | None = 0, cwd: Path | None = None, **environment: str) -> str:
        """What it says, standard error too."""
        minimal = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb", "NO_COLOR": "1"}
        done = subprocess.run(
            command, cwd=cwd or self.home, env=minimal | environment, timeout=within_s,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        failed = done.returncode != 0
        assert status is None or failed == (status != 0), f"ended with {done.returncode}: {done.stdout[-2000:]}"
        return done.stdout

    def node_tool(self, name: str) -> Path:
        return HERE / "node" / "node_modules" / ".bin" / name


def claude_code(place: Place):
    def claude(prompt: str, *options: str, status: int = 0, **change: str) -> str:
        settings = {
            "ANTHROPIC_BASE_URL": place.gateway.url,
            "ANTHROPIC_AUTH_TOKEN": place.gateway.key,
            "ANTHROPIC_MODEL": "demo",
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": "demo",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            # By itself it tries for minutes.
            "CLAUDE_CODE_MAX_RETRIES": "1",
        }
        return place.run([place.node_tool("claude"), "-p", prompt, *options], 120, status, **(settings | change))

    written = place.home / "written.txt"
    # The demo model calls the tool that is named, with what stands in quotes, in the order of its fields' names.
    said = claude(f'Write "heliotrope" to "{written}".', "--permission-mode", "acceptEdits")
    assert written.read_text() == "heliotrope" and "created successfully" in said, said
    expect("401 This API key isn't valid", claude("Hello", status=1, ANTHROPIC_AUTH_TOKEN="sk-fg-nothing"))
    expect("issue with the selected model", claude("Hello", status=1, ANTHROPIC_MODEL="nothing-like-it"))
    expect("no capacity|overloaded|503", claude("Hello", status=1, ANTHROPIC_MODEL="demo!status=503"))
    # After a stream that dies it asks for the whole answer, which dies too.
    expect("Connection to the API was lost", claude("Hello", status=1, ANTHROPIC_MODEL="demo!die-after=3"))


def codex(place: Place):
    folder = place.home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(f"""
model = "demo"
model_provider = "fluxgate"

[model_providers.fluxgate]
name = "Fluxgate"
base_url = "{place.gateway.url}/v1"
env_key = "FLUXGATE_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
""")

    def ask(prompt: str, *options: str, status: int = 0, key: str = place.gateway.key) -> str:
        # It finds no sandbox in a container; what it runs is what we ask for.
        command = [place.node_tool("codex"), "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access"]
        return place.run([*command, *options, prompt], 120, status, FLUXGATE_KEY=key)

    note = place.home / "note.txt"
    note.write_text("The word is heliotrope.\n")
    # The number is what each of the tool's limits is set to.
    expect("heliotrope", ask(f'exec_command "cat {note}" 9000'))
    expect("401 Unauthorized: This API key isn't valid", ask("Hello", status=1, key="sk-fg-nothing"))
    expect("No model server offers this model", ask("Hello", "-m", "nothing-like-it", status=1))
    expect("503|overloaded|capacity", ask("Hello", "-m", "demo!status=503", status=1))
    # It doesn't read the error event, but knows that the end is missing.
    expect("stream disconnected before completion", ask("Hello", "-m", "demo!die-after=3", status=1))


def continue_cli(place: Place):
    def ask(model: str, key: str, status: int | None) -> str:
        settings = place.home / "config.yaml"
        settings.write_text(f"""
name: Fluxgate
version: 0.0.1
schema: v1
models:
  - name: Fluxgate
    provider: openai
    model: {model}
    apiBase: {place.gateway.url}/v1
    apiKey: {key}
""")
        command = [place.node_tool("cn"), "--config", settings, "-p", "Say hello"]
        return place.run(command, 120, status, CONTINUE_TELEMETRY_ENABLED="0")

    expect("demo model", ask("demo", place.gateway.key, 0))
    expect("No model server offers this model", ask("nothing-like-it", place.gateway.key, 1))


def aider(place: Place):
    def ask(*options: str, key: str = place.gateway.key) -> str:
        command = [
            place.cache / "aider/bin/aider", "--chat-mode", "ask", "--message", "Say hello", "--no-git", "--yes-always",
            "--no-check-update", "--no-show-model-warnings", "--no-pretty", "--analytics-disable",
        ]  # fmt: skip
        settings = {"OPENAI_API_BASE": f"{place.gateway.url}/v1", "OPENAI_API_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        # It ends with 0 whatever happened.
        return place.run([*command, *options], 120, None, **settings)

    expect("demo model", ask("--model", "openai/demo", "--stream"))
    expect("demo model", ask("--model", "openai/demo", "--no-stream"))
    expect("NotFoundError", ask("--model", "openai/nothing-like-it"))
    expect("AuthenticationError", ask("--model", "openai/demo", key="sk-fg-nothing"))


def langchain_and_llama_index(place: Place):
    pytest(place, "frameworks", "test_langchain.py", "test_llama_index.py")


def pydantic_ai(place: Place):
    pytest(place, "pydantic-ai", "test_pydantic_ai.py")


def vercel(place: Place):
    place.run(["node", "--test", HERE / "node" / "vercel.test.js"], 240, **address(place))


def two_people_in_open_webui(place: Place):
    open_webui.check(place.gateway, place.home, place.cache / "open-webui/bin/open-webui")
    people = set(re.findall(r'"end_user":"([^"]+)"', (place.home.parent / "fluxgate.log").read_text()))
    assert len(people) == 2, people


def documented_calls(place: Place):
    """What stands in docs/clients runs as it stands there, but for the address."""
    node = ["node", "--input-type=module", "--eval"]
    of_clients, of_tools = ROOT / "tests/clients/node", HERE / "node"
    pages = {
        "curl": ("sh", "clients", ["bash", "-euc"], None),
        "openai-python": ("python", "clients", None, None),
        "anthropic-python": ("python", "clients", None, None),
        "ollama-python": ("python", "clients", None, None),
        "openai-node": ("js", "clients", node, of_clients),
        "anthropic-typescript": ("js", "clients", node, of_clients),
        "ollama-js": ("js", "clients", node, of_clients),
        "langchain": ("python", "frameworks", None, None),
        "llama-index": ("python", "frameworks", None, None),
        "pydantic-ai": ("python", "pydantic-ai", None, None),
        "vercel-ai-sdk": ("js", "e2e-node", node, of_tools),
    }
    for page, (language, installation, command, cwd) in pages.items():
        if (place.cache / installation / ".ready").exists():
            text = (ROOT / "docs/clients" / f"{page}.md").read_text()
            call = "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
            call = call.replace("http://127.0.0.1:3000", place.gateway.url).replace("sk-fg-…", place.gateway.key)
            command = command or [place.cache / installation / "bin/python", "-c"]
            said = place.run([*command, call], 120, cwd=cwd, FLUXGATE_KEY=place.gateway.key)
            assert "demo model" in said, f"{page}: {said}"


def pytest(place: Place, venv: str, *files: str):
    command = [place.cache / venv / "bin/python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    place.run([*command, *(HERE / "python" / file for file in files)], 300, **address(place))


def address(place: Place) -> dict[str, str]:
    return {"FLUXGATE_URL": place.gateway.url, "FLUXGATE_KEY": place.gateway.key}


def expect(words: str, said: str) -> None:
    assert any(word in " ".join(said.split()) for word in words.split("|")), f"expected {words!r}: {said[-2000:]}"


# Each with the folder of .cache that holds its installation.
CHECKS: dict[Callable, str] = {
    claude_code: "e2e-node",
    codex: "e2e-node",
    continue_cli: "e2e-node",
    vercel: "e2e-node",
    langchain_and_llama_index: "frameworks",
    pydantic_ai: "pydantic-ai",
    aider: "aider",
    two_people_in_open_webui: "open-webui",
    documented_calls: "clients",
}


def main() -> int:
    names = [check.__name__ for check in CHECKS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="the folder of the tools' environments")
    parser.add_argument("only", nargs="*", choices=[[], *names], help="which; all by default")
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    with tempfile.TemporaryDirectory(prefix="fluxgate-tools-") as name:
        folder = Path(name)
        listed = [f"demo!{misbehaviour}" for misbehaviour in MISBEHAVIOURS]
        with programs.demo(folder, also_list=listed) as demo, programs.fluxgate_up(folder, [{"name": "demo", "url": demo}], LOG) as gateway:
            verdicts = [
                verdict(check, Place(gateway, cache, folder / check.__name__), cache / CHECKS[check])
                for check in CHECKS
                if not arguments.only or check.__name__ in arguments.only
            ]
    failed = verdicts.count("FAILED")
    print("tools:", f"{failed} failed" if failed else "ok")
    return 1 if failed else 0


def verdict(check: Callable, place: Place, installation: Path) -> str:
    """What became of it, told as it happens. What can't be installed on a machine isn't a failure of ours."""
    began = time.monotonic()
    place.home.mkdir()
    why = ""
    if not (installation / ".ready").exists():
        word, why = "absent", install_message(installation)
    else:
        try:
            check(place)
            word = "ok"
        except Exception as error:
            word, why = "FAILED", f"{error!r}" if not isinstance(error, AssertionError) else str(error)
    print(f"{word:8}{check.__name__} {time.monotonic() - began:.0f} s", why, flush=True)
    return word


def install_message(installation: Path) -> str:
    log = installation / "install.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else ["it was never installed: make e2e"]
    return " / ".join(lines[-INSTALL_LOG_LINES:])


if __name__ == "__main__":
    sys.exit(main())
