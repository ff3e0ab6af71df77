"""Open WebUI's own server, with a connection of each kind: two people ask through both."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import programs

# Half a minute where nothing else runs.
STARTS_WITHIN_S = 400
ANSWERS_WITHIN_S = 60
PASSWORD = "not a secret 1"


def check(gateway: programs.Gateway, home: Path, program: Path) -> None:
    # One key for everybody who uses it.
    key = gateway.new_key("--end-user-header", "X-OpenWebUI-User-Id")
    port = programs.free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DATA_DIR": str(home / "data"),
        "WEBUI_SECRET_KEY": "0123456789abcdef0123456789abcdef",
        # It downloads nothing then.
        "OFFLINE_MODE": "True",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",
        "OPENAI_API_BASE_URL": f"{gateway.url}/v1",
        "OPENAI_API_KEY": key,
        "OLLAMA_BASE_URL": gateway.url,
        "ENABLE_FORWARD_USER_INFO_HEADERS": "True",
        # Else a model is its administrator's until she shares it.
        "BYPASS_MODEL_ACCESS_CONTROL": "True",
    }
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    ready = lambda: programs.answers(f"{url}/health")  # noqa: E731
    with programs.running("open-webui", command, home, ready, within_s=STARTS_WITHIN_S, env=environment):
        ask_as_two(url, gateway.url, key)


def ask_as_two(url: str, gateway: str, key: str) -> None:
    first = post(f"{url}/api/v1/auths/signup", None, {"name": "One", "email": "one@example.com", "password": PASSWORD})["token"]
    person = {"name": "Two", "email": "two@example.com", "password": PASSWORD, "role": "user"}
    second = post(f"{url}/api/v1/auths/add", first, person)["token"]
    # The key of an Ollama connection has no variable; the page sends this.
    connection = {"enable": True, "key": key, "prefix_id": "native"}
    settings = {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [gateway], "OLLAMA_API_CONFIGS": {"0": connection}}
    post(f"{url}/ollama/config/update", first, settings)
    for token in (first, second):
        models = [model["id"] for model in get(f"{url}/api/models", token)["data"]]
        for model in ("demo:latest", "native.demo:latest"):
            assert model in models, models
            asked = {"model": model, "messages": [{"role": "user", "content": "Say hello"}]}
            answer = post(f"{url}/api/chat/completions", token, asked | {"stream": False})
            assert "demo model" in answer["choices"][0]["message"]["content"], answer
            assert "demo model" in streamed(f"{url}/api/chat/completions", token, asked | {"stream": True})
    asked = {"model": "demo!status=503:latest", "messages": [{"role": "user", "content": "Say hello"}], "stream": False}
    try:
        answer = post(f"{url}/api/chat/completions", first, asked)
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
    assert "can't serve" in str(answer) or "upstream_overloaded" in str(answer), answer


def post(url: str, token: str | None, body: dict) -> dict:
    return json.loads(send(url, token, body))


def get(url: str, token: str) -> dict:
    return json.loads(send(url, token, None))


def streamed(url: str, token: str, body: dict) -> str:
    lines = send(url, token, body).decode().splitlines()
    frames = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for frame in frames for choice in frame.get("choices", []))


def send(url: str, token: str | None, body: dict | None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=ANSWERS_WITHIN_S) as answer:
        return answer.read()
