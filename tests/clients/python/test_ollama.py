"""ollama-python, as it comes: in front of an Ollama, and of a server that speaks OpenAI's dialect alone."""

import json

import ollama
import pytest
from asked import ASK_WEATHER, CITY, HELLO, NUMBER, WEATHER

# In front of `openai` the gateway translates.
OVER = ["all", "openai"]
TOOL = {"type": "function", "function": {"name": "get_weather", "description": WEATHER, "parameters": CITY}}


def test_what_there_is(ollama_client):
    names = {model.model.removesuffix(":latest") for model in ollama_client.list().models}
    assert {"demo", "demo-embed"} <= names
    assert ollama_client.show("demo").details is not None
    assert "completion" in ollama_client.show("demo").capabilities
    assert ollama_client.ps().models is not None


def test_a_chat_whole_and_streamed(ollama_client):
    whole = ollama_client.chat(model="demo", messages=HELLO)
    assert whole.done and whole.done_reason == "stop"
    assert whole.eval_count > 0 and whole.prompt_eval_count > 0
    parts = list(ollama_client.chat(model="demo", messages=HELLO, stream=True))
    assert "".join(part.message.content for part in parts) == whole.message.content
    assert [part.done for part in parts].count(True) == 1 and parts[-1].done and len(parts) > 2
    assert (parts[-1].eval_count, parts[-1].prompt_eval_count) == (whole.eval_count, whole.prompt_eval_count)


def test_options_are_kept_to(ollama_client):
    answer = ollama_client.chat(model="demo", messages=HELLO, options={"num_predict": 3, "temperature": 0.5, "num_ctx": 4096})
    assert answer.done_reason == "length" and answer.eval_count == 3


def test_generate_whole_and_streamed(ollama_client):
    whole = ollama_client.generate(model="demo", prompt="Once", system="Be brief.")
    assert whole.response and whole.eval_count > 0
    parts = list(ollama_client.generate(model="demo", prompt="Once", system="Be brief.", stream=True))
    assert "".join(part.response for part in parts) == whole.response


def test_embeddings_both_ways(ollama_client):
    answer = ollama_client.embed(model="demo-embed", input=["one", "two"])
    assert len(answer.embeddings) == 2 and answer.prompt_eval_count > 0
    assert list(ollama_client.embed(model="demo-embed", input="one").embeddings[0]) == list(answer.embeddings[0])
    assert len(ollama_client.embeddings(model="demo-embed", prompt="one").embedding) == len(answer.embeddings[0])


def test_a_tool_is_called_and_its_result_is_answered(ollama_client):
    answer = ollama_client.chat(model="demo", messages=ASK_WEATHER, tools=[TOOL])
    call = answer.message.tool_calls[0].function
    assert call.name == "get_weather" and "city" in call.arguments
    result = {"role": "tool", "tool_name": "get_weather", "content": "Sunny, 21 degrees."}
    answer = ollama_client.chat(model="demo", messages=[*ASK_WEATHER, answer.message, result], tools=[TOOL])
    assert "21" in answer.message.content


def test_a_tool_is_called_in_a_stream(ollama_client):
    parts = list(ollama_client.chat(model="demo", messages=ASK_WEATHER, tools=[TOOL], stream=True))
    calls = [call.function for part in parts for call in part.message.tool_calls or []]
    assert [call.name for call in calls] == ["get_weather"] and "city" in calls[0].arguments


def test_a_function_is_taken_for_a_tool(ollama_client):
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: its name
        """
        return city

    answer = ollama_client.chat(model="demo", messages=ASK_WEATHER, tools=[get_weather])
    assert get_weather(**answer.message.tool_calls[0].function.arguments)


def test_json_and_schemas_are_kept_to(ollama_client):
    answer = ollama_client.chat(model="demo", messages=HELLO, format="json")
    assert isinstance(json.loads(answer.message.content), dict)
    answer = ollama_client.chat(model="demo", messages=HELLO, format=NUMBER)
    assert isinstance(json.loads(answer.message.content)["n"], int)
    answer = ollama_client.generate(model="demo", prompt="A number.", format=NUMBER)
    assert isinstance(json.loads(answer.response)["n"], int)


def test_loading_a_model_is_answered(ollama_client):
    answer = ollama_client.generate(model="demo")
    assert answer.done and answer.done_reason == "load"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client: client.show("nothing-like-it"), 404),
        (lambda client: client.chat(model="nothing-like-it", messages=HELLO), 404),
        (lambda client: client.generate(model="nothing-like-it", prompt="Once"), 404),
        (lambda client: client.embed(model="nothing-like-it", input="one"), 404),
        (lambda client: client.chat(model="demo", messages=HELLO, options={"num_predict": "many"}), 400),
        (lambda client: client.chat(model="demo!status=400", messages=HELLO), 400),
        (lambda client: client.chat(model="demo!status=429", messages=HELLO), 429),
        (lambda client: client.chat(model="demo!status=401", messages=HELLO), 502),
        (lambda client: client.chat(model="demo!status=500", messages=HELLO), 502),
        (lambda client: client.chat(model="demo!status=503", messages=HELLO), 503),
        (lambda client: client.chat(model="doomed", messages=HELLO), 503),
        (lambda client: list(client.chat(model="doomed", messages=HELLO, stream=True)), 503),
        (lambda client: client.pull("demo"), 403),
        (lambda client: client.delete("demo"), 403),
    ],
)
def test_a_failure_raises_with_its_status(ollama_client, call, status):
    with pytest.raises(ollama.ResponseError) as raised:
        call(ollama_client)
    assert raised.value.status_code == status
    assert raised.value.error


def test_a_wrong_key_raises(gateway):
    client = ollama.Client(host=gateway.url, headers={"Authorization": "Bearer nothing"})
    with pytest.raises(ollama.ResponseError) as raised:
        client.list()
    assert raised.value.status_code == 401


def test_a_key_may_stand_in_the_address(gateway):
    client = ollama.Client(host=f"{gateway.url}/k/{gateway.path_key}")
    assert client.chat(model="demo", messages=HELLO).message.content
    with pytest.raises(ollama.ResponseError) as raised:
        ollama.Client(host=f"{gateway.url}/k/{gateway.key}").list()
    assert raised.value.status_code in (401, 403)


def test_a_model_that_the_key_may_not_use_raises(gateway):
    client = ollama.Client(host=gateway.url, headers={"Authorization": f"Bearer {gateway.embed_key}"})
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat(model="demo", messages=HELLO)
    assert raised.value.status_code == 403


@pytest.mark.parametrize("misbehaviour", ["die-after=3", "fail-after=3"])
def test_a_stream_that_dies_raises(ollama_client, misbehaviour):
    seen = []
    with pytest.raises(ollama.ResponseError):
        for part in ollama_client.chat(model=f"demo!{misbehaviour}", messages=HELLO, stream=True):
            seen.append(part.done)
    assert seen and True not in seen


def test_a_stream_of_generate_that_dies_raises(ollama_client):
    with pytest.raises(ollama.ResponseError):
        list(ollama_client.generate(model="demo!die-after=3", prompt="Once", stream=True))
