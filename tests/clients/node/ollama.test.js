// ollama-js, as it comes: in front of an Ollama, and of a server that speaks OpenAI's dialect alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";
import { askWeather, city, gateways, messages } from "./gateways.js";

// In front of `openai` the gateway translates.
for (const over of ["all", "openai"]) {
  const { url: host, key } = gateways[over];
  const client = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } });

  test(`models are listed and shown, over ${over}`, async () => {
    const names = (await client.list()).models.map((model) => model.name.replace(/:latest$/, ""));
    assert.ok(names.includes("demo"));
    assert.ok((await client.show({ model: "demo" })).details);
  });

  test(`a stream says what a chat says, over ${over}`, async () => {
    const whole = await client.chat({ model: "demo", messages });
    assert.ok(whole.done && whole.eval_count > 0);
    let text = "";
    for await (const part of await client.chat({ model: "demo", messages, stream: true })) text += part.message.content;
    assert.equal(text, whole.message.content);
  });

  test(`tools, schemas and embeddings, over ${over}`, async () => {
    const tools = [{ type: "function", function: { name: "get_weather", description: "", parameters: city } }];
    const called = await client.chat({ model: "demo", messages: askWeather, tools });
    assert.equal(called.message.tool_calls[0].function.name, "get_weather");
    const formed = await client.generate({ model: "demo", prompt: "Which city?", format: city });
    assert.equal(typeof JSON.parse(formed.response).city, "string");
    assert.equal((await client.embed({ model: "demo-embed", input: ["one", "two"] })).embeddings.length, 2);
  });

  for (const [model, status] of [["nothing-like-it", 404], ["demo!status=429", 429], ["demo!status=500", 502], ["doomed", 503]]) {
    test(`${model} raises with ${status}, over ${over}`, async () => {
      await assert.rejects(client.chat({ model, messages }), { status_code: status });
    });
  }

  test(`a wrong key raises, over ${over}`, async () => {
    const stranger = new Ollama({ host, headers: { Authorization: "Bearer nothing" } });
    await assert.rejects(stranger.list(), { status_code: 401 });
  });

  test(`a stream that dies raises, over ${over}`, async () => {
    const stream = await client.chat({ model: "demo!die-after=3", messages, stream: true });
    await assert.rejects(async () => {
      for await (const part of stream) assert.ok(!part.done);
    });
  });
}
