"""What every client asks of the demo model."""

HELLO = [{"role": "user", "content": "Say hello."}]
# The demo model calls a tool that the prompt names.
ASK_WEATHER = [{"role": "user", "content": "Call get_weather for Oslo."}]
WEATHER = "The weather in a city"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
