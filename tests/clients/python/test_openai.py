"""openai-python, as it comes: chats, completions, embeddings."""

import json

import openai
import pytest
from asked import CITY, HELLO, NUMBER
from asked import WEATHER as DESCRIPTION

OVER = ["all", "openai"]
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": DESCRIPTION, "parameters": CITY}}


def test_models_are_listed_and_told_one_by_one(openai_client):
    names = [model.id for model in openai_client.models.list()]
    assert {"demo", "demo:latest"} & set(names)
    assert openai_client.models.retrieve(names[0]).id == names[0]


def test_a_chat_answers_with_its_usage(openai_client):
    answer = openai_client.chat.completions.create(model="demo", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0


def test_a_stream_says_the_same_and_brings_no_usage_that_nobody_asked_for(openai_client):
    whole = openai_client.chat.completions.create(model="demo", messages=HELLO).choices[0].message.content
    chunks = list(openai_client.chat.completions.create(model="demo", messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_a_stream_brings_its_usage_where_it_is_asked_for(openai_client):
    stream = openai_client.chat.completions.create(
        model="demo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    last = list(stream)[-1]
    assert last.choices == [] and last.usage.completion_tokens > 0


def test_a_tool_is_called(openai_client):
    answer = openai_client.chat.completions.create(
        model="demo", messages=HELLO, tools=[WEATHER], tool_choice="required"
    )
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)


def test_a_tool_is_called_in_a_stream(openai_client):
    stream = openai_client.chat.completions.create(
        model="demo", messages=HELLO, tools=[WEATHER], tool_choice="required", stream=True
    )
    pieces = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]
    assert pieces[0].function.name == "get_weather"
    assert "city" in json.loads("".join(piece.function.arguments or "" for piece in pieces))


def test_json_mode_gives_json(openai_client):
    answer = openai_client.chat.completions.create(
        model="demo", messages=HELLO, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_a_schema_is_kept_to(openai_client):
    answer = openai_client.chat.completions.create(
        model="demo",
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "number", "schema": NUMBER, "strict": True}},
    )
    assert isinstance(json.loads(answer.choices[0].message.content)["n"], int)


def test_completions_and_embeddings(openai_client):
    assert openai_client.completions.create(model="demo", prompt="Once").choices[0].text
    answer = openai_client.embeddings.create(model="demo-embed", input=["one", "two"])
    assert len(answer.data) == 2 and answer.usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("nothing-like-it", openai.NotFoundError, "model_not_found"),
        ("demo!status=500", openai.InternalServerError, "upstream_error"),
        ("demo!status=503", openai.InternalServerError, "upstream_overloaded"),
        ("demo!status=401", openai.InternalServerError, "upstream_auth"),
        ("demo!redirect", openai.InternalServerError, "upstream_redirect"),
        ("doomed", openai.InternalServerError, "upstream_unavailable"),
    ],
)
def test_a_failure_raises_its_own_class(openai_client, model, error, code):
    with pytest.raises(error) as raised:
        openai_client.chat.completions.create(model=model, messages=HELLO)
    assert raised.value.code == code
    assert raised.value.request_id


def test_a_rate_limit_of_the_model_server_passes_with_its_time(openai_client):
    with pytest.raises(openai.RateLimitError) as raised:
        openai_client.chat.completions.create(model="demo!status=429", messages=HELLO)
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_wrong_key_and_a_missing_one_are_authentication_errors(gateway):
    for wrong in ["sk-fg-nothing", "sk-proj-0123456789"]:
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=wrong, max_retries=0)
        with pytest.raises(openai.AuthenticationError) as raised:
            client.models.list()
        assert raised.value.code == "invalid_api_key"


def test_a_model_that_the_key_may_not_use_is_a_permission_error(gateway):
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.embed_key, max_retries=0)
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="demo", messages=HELLO)
    assert {model.id.removesuffix(":latest") for model in client.models.list()} == {"demo-embed"}


def test_a_wrong_field_is_named(openai_client):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client.chat.completions.create(model="demo", messages="hello")
    assert raised.value.param == "messages"


@pytest.mark.parametrize("model", ["demo!die-after=3", "demo!wrong-json"])
def test_a_stream_that_breaks_raises(openai_client, model):
    stream = openai_client.chat.completions.create(model=model, messages=HELLO, stream=True)
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        for _ in stream:
            pass


def test_a_stream_that_dies_says_why(openai_client):
    stream = openai_client.chat.completions.create(model="demo!die-after=3", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as raised:
        for _ in stream:
            pass
    assert raised.value.code == "upstream_died"
