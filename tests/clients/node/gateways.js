// The gateways under test, by what the model server behind each speaks: `all` is an Ollama to it.

export const gateways = JSON.parse(process.env.FLUXGATE_GATEWAYS);

export const messages = [{ role: "user", content: "Say hello." }];
// The demo model calls a tool that the prompt names.
export const askWeather = [{ role: "user", content: "Call get_weather for Oslo." }];
export const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
