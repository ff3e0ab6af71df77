"""ollama-python, as it comes, in front of an Ollama."""

import json

import ollama
import pytest

HELLO = [{"role": "user", "content": "Say hello."}]


def test_what_there_is(ollama_client):
    assert "demo:latest" in [model.model for model in ollama_client.list().models]
    assert ollama_client.show("demo").details is not None
    assert ollama_client.ps().models is not None


def test_a_chat_whole_and_streamed(ollama_client):
    whole = ollama_client.chat(model="demo", messages=HELLO)
    assert whole.done and whole.eval_count > 0 and whole.prompt_eval_count > 0
    parts = list(ollama_client.chat(model="demo", messages=HELLO, stream=True))
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert parts[-1].done and len(parts) > 2


def test_generate_and_embed(ollama_client):
    assert ollama_client.generate(model="demo", prompt="Once").response
    assert len(ollama_client.embed(model="demo-embed", input=["one", "two"]).embeddings) == 2


def test_tools_and_json(ollama_client):
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    # Ollama's clients can't require a tool: the demo model calls the one it is asked for.
    asked = [{"role": "user", "content": "Call get_weather for Oslo."}]
    answer = ollama_client.chat(model="demo", messages=asked, tools=[tool])
    assert answer.message.tool_calls[0].function.name == "get_weather"
    assert "city" in answer.message.tool_calls[0].function.arguments
    answer = ollama_client.chat(model="demo", messages=HELLO, format="json")
    assert isinstance(json.loads(answer.message.content), dict)


def test_loading_a_model_is_answered(ollama_client):
    answer = ollama_client.generate(model="demo")
    assert answer.done and answer.done_reason == "load"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client: client.chat(model="nothing-like-it", messages=HELLO), 404),
        (lambda client: client.chat(model="demo!status=500", messages=HELLO), 502),
        (lambda client: client.pull("demo"), 403),
        (lambda client: client.delete("demo"), 403),
    ],
)
def test_a_failure_raises_with_its_status(ollama_client, call, status):
    with pytest.raises(ollama.ResponseError) as raised:
        call(ollama_client)
    assert raised.value.status_code == status


def test_a_wrong_key_raises(base_url):
    client = ollama.Client(host=base_url, headers={"Authorization": "Bearer nothing"})
    with pytest.raises(ollama.ResponseError) as raised:
        client.list()
    assert raised.value.status_code == 401


def test_a_stream_that_dies_raises(ollama_client):
    with pytest.raises(ollama.ResponseError):
        for _ in ollama_client.chat(model="demo!die-after=3", messages=HELLO, stream=True):
            pass
