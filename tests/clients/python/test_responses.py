"""openai-python, as it comes: Responses."""

import json

import openai
import pydantic
import pytest
from asked import ASK_WEATHER, CITY, HELLO, NUMBER, WEATHER

OVER = ["all", "openai"]
TOOL = {"type": "function", "name": "get_weather", "description": WEATHER, "parameters": CITY, "strict": True}


def test_a_response_answers_with_its_usage(openai_client):
    answer = openai_client.responses.create(model="demo", input="Say hello.", instructions="Be brief.")
    assert answer.status == "completed" and answer.output_text
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_a_stream_says_the_same_and_ends_with_the_whole(openai_client):
    whole = openai_client.responses.create(model="demo", input=HELLO)
    events = list(openai_client.responses.create(model="demo", input=HELLO, stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage


def test_the_stream_helper_gathers_the_answer(openai_client):
    with openai_client.responses.stream(model="demo", input=HELLO) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text != ""


def test_a_tool_is_called_and_its_result_is_answered(openai_client):
    answer = openai_client.responses.create(model="demo", input=ASK_WEATHER, tools=[TOOL], tool_choice="required")
    call = next(item for item in answer.output if item.type == "function_call")
    assert call.name == "get_weather" and "city" in json.loads(call.arguments)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees."}
    answer = openai_client.responses.create(model="demo", input=[*ASK_WEATHER, call, result], tools=[TOOL])
    assert "21" in answer.output_text


def test_a_tool_is_called_in_a_stream(openai_client):
    events = list(openai_client.responses.create(model="demo", input=ASK_WEATHER, tools=[TOOL], tool_choice="required", stream=True))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "city" in json.loads("".join(pieces))
    assert [item.name for item in events[-1].response.output if item.type == "function_call"] == ["get_weather"]


def test_a_schema_is_kept_to(openai_client):
    asked = {"type": "json_schema", "name": "number", "schema": NUMBER, "strict": True}
    answer = openai_client.responses.create(model="demo", input=HELLO, text={"format": asked})
    assert isinstance(json.loads(answer.output_text)["n"], int)


def test_a_schema_given_as_a_class_gives_an_object(openai_client):
    class Number(pydantic.BaseModel):
        n: int

    answer = openai_client.responses.parse(model="demo", input=HELLO, text_format=Number)
    assert isinstance(answer.output_parsed, Number)


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("nothing-like-it", openai.NotFoundError, "model_not_found"),
        ("demo!status=500", openai.InternalServerError, "upstream_error"),
        ("demo!status=503", openai.InternalServerError, "upstream_overloaded"),
        ("demo!status=401", openai.InternalServerError, "upstream_auth"),
        ("doomed", openai.InternalServerError, "upstream_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_failure_raises_its_own_class(openai_client, model, error, code, stream):
    with pytest.raises(error) as raised:
        openai_client.responses.create(model=model, input=HELLO, stream=stream)
    assert raised.value.code == code
    assert raised.value.request_id


def test_a_rate_limit_of_the_model_server_passes_with_its_time(openai_client):
    with pytest.raises(openai.RateLimitError) as raised:
        openai_client.responses.create(model="demo!status=429", input=HELLO)
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_wrong_key_is_an_authentication_error(gateway):
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-fg-nothing", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as raised:
        client.responses.create(model="demo", input=HELLO)
    assert raised.value.code == "invalid_api_key"


def test_a_wrong_field_is_named(openai_client):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client.responses.create(model="demo", input=7)
    assert raised.value.param == "input"


def test_nothing_is_kept(openai_client):
    answer = openai_client.responses.create(model="demo", input=HELLO)
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve(answer.id)
    with pytest.raises(openai.BadRequestError):
        openai_client.responses.create(model="demo", input=HELLO, previous_response_id=answer.id)


def test_a_stream_that_dies_raises_and_says_why(openai_client):
    seen = []
    with pytest.raises(openai.APIError) as raised:
        for event in openai_client.responses.create(model="demo!die-after=3", input=HELLO, stream=True):
            seen.append(event.type)
    assert raised.value.code == "upstream_died"
    assert seen and "response.completed" not in seen


def test_a_whole_answer_that_is_cut_raises(openai_client):
    with pytest.raises(openai.APIError):
        openai_client.responses.create(model="demo!die-after=3", input=HELLO)


def test_a_failure_that_the_server_tells_in_its_stream_is_told(openai_client):
    events = list(openai_client.responses.create(model="demo!fail-after=3", input=HELLO, stream=True))
    assert events[-1].type == "response.failed" and events[-1].response.error
