//! `POST /api/chat` and `POST /api/generate`: one answer, wrapped in two ways.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{fault_json, named_model, now};
use crate::answer::{Answer, Finish, Part, answer as compose};
use crate::ask::{Ask, FNV_START, Format, Message, Role, Tool, ToolChoice, fnv};
use crate::catalogue::Skill;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, NDJSON, Reply, Usage};
use crate::tokens;

/// How many tokens the `context` of a generate answer holds at most: the newest.
const CONTEXT_MAX: usize = 4096;

/// Where an answer's words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In `message.content`.
    Chat,
    /// In `response`.
    Generate,
}

pub(super) fn chat(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let request = Request::read(body, work)?;
    let messages = body.objects("messages")?.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        return Ok(request.loaded(Form::Chat));
    }
    let tools = body.objects("tools")?.iter().map(tool).collect::<Result<_, _>>()?;
    let ask = Ask {
        messages,
        tools,
        tool_choice: ToolChoice::Auto,
        parallel_calls: true,
        ..request.ask.clone()
    };
    Ok(request.answer(Form::Chat, &ask, work))
}

pub(super) fn generate(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let request = Request::read(body, work)?;
    for name in ["suffix", "template"] {
        body.string(name)?;
    }
    body.flag("raw")?;
    body.array("context")?;
    let system = body.string("system")?.map(|system| Message::new(Role::System, system));
    let mut prompt = Message::new(Role::User, body.string("prompt")?.unwrap_or_default());
    prompt.images = images(body)?;
    if prompt.text.is_empty() && prompt.images == 0 {
        return Ok(request.loaded(Form::Generate));
    }
    let ask = Ask { messages: system.into_iter().chain([prompt]).collect(), ..request.ask.clone() };
    Ok(request.answer(Form::Generate, &ask, work))
}

/// What both routes take.
struct Request {
    model: String,
    stream: bool,
    unload: bool,
    /// Without its messages yet.
    ask: Ask,
}

impl Request {
    fn read(body: &Fields<'_>, work: &Work<'_>) -> Result<Self, Fault> {
        let model = named_model(body)?;
        work.catalogue.check(model, Skill::Chat)?;
        let (mut tokens_max, mut stop) = (None, Vec::new());
        if let Some(options) = body.object("options")? {
            for name in ["temperature", "top_p", "repeat_penalty"] {
                options.number(name)?;
            }
            for name in ["seed", "num_ctx", "top_k"] {
                options.integer(name)?;
            }
            // −1 and −2 mean as many as it takes.
            tokens_max = options.integer("num_predict")?.and_then(|max| u64::try_from(max).ok());
            stop = options.strings("stop")?;
        }
        let ask =
            Ask { tokens_max, stop, format: format(body)?, think: think(body)?, ..Ask::default() };
        let unload = match body.get("keep_alive") {
            None => false,
            Some(Value::Number(seconds)) => seconds.as_f64() == Some(0.0),
            Some(Value::String(time)) => matches!(time.as_str(), "0" | "0s" | "0m" | "0h"),
            Some(_) => return Err(body.wrong("keep_alive", "a duration or a number of seconds")),
        };
        Ok(Self {
            model: model.to_owned(),
            stream: body.flag("stream")?.unwrap_or(true),
            unload,
            ask,
        })
    }

    /// An empty prompt only loads the model, or unloads it.
    fn loaded(&self, form: Form) -> Reply {
        let reason = if self.unload { "unload" } else { "load" };
        let mut line = line(&self.model, form, Piece::default());
        line.insert("done".to_owned(), json!(true));
        line.insert("done_reason".to_owned(), json!(reason));
        Reply::answer(&Value::Object(line), 0)
    }

    fn answer(&self, form: Form, ask: &Ask, work: &Work<'_>) -> Reply {
        let started = Instant::now();
        let answer = compose(ask, work.behaviour, 0);
        let usage = Usage { prompt_tokens: ask.prompt_tokens(), completion_tokens: answer.tokens };
        let end = End {
            done_reason: done_reason(answer.finish),
            usage: usage.told(work.behaviour),
            context: (form == Form::Generate).then(|| context(ask, &answer)),
            reading: started.elapsed(),
        };
        let model = self.model.clone();
        let calls = calls(&answer);
        if !self.stream {
            let writing =
                work.pace.saturating_mul(u32::try_from(answer.tokens).unwrap_or(u32::MAX));
            let piece = Piece { text: answer.text, thinking: answer.thinking, calls };
            let whole = end.put_into(line(&model, form, piece), writing);
            return Reply::answer(&Value::Object(whole), usage.completion_tokens);
        }
        let call_tokens: u64 =
            answer.calls.iter().map(|call| tokens::count(&call.arguments) + 1).sum();
        let call_tokens = u32::try_from(call_tokens).unwrap_or(u32::MAX);
        let words = answer.parts().filter_map(|part| match part {
            Part::Thinking(thinking) => Some((Piece { thinking, ..Piece::default() }, 1)),
            Part::Text(text) => Some((Piece { text, ..Piece::default() }, 1)),
            // This dialect sends all calls in one piece.
            Part::CallOpens { .. } | Part::CallArguments { .. } => None,
        });
        let calls =
            (!calls.is_empty()).then_some((Piece { calls, ..Piece::default() }, call_tokens));
        let last_model = model.clone();
        let frames = words.chain(calls).map(move |(piece, tokens)| {
            Frame::line(&Value::Object(line(&model, form, piece)), tokens)
        });
        let last = std::iter::once_with(move || {
            let last = line(&last_model, form, Piece::default());
            Frame::line(&Value::Object(end.put_into(last, started.elapsed())), 0)
        });
        Reply::frames(NDJSON, Box::new(frames.chain(last)))
            .failing(work.behaviour.fail_after, |_| {
                Frame::line(&fault_json(&Fault::told_to_fail()), 0)
            })
    }
}

/// What one line says.
#[derive(Default)]
struct Piece {
    text: String,
    thinking: String,
    calls: Vec<Value>,
}

fn line(model: &str, form: Form, piece: Piece) -> Map<String, Value> {
    let mut said = Map::new();
    let words = match form {
        Form::Chat => "content",
        Form::Generate => "response",
    };
    said.insert(words.to_owned(), json!(piece.text));
    if !piece.thinking.is_empty() {
        said.insert("thinking".to_owned(), json!(piece.thinking));
    }
    if !piece.calls.is_empty() {
        said.insert("tool_calls".to_owned(), json!(piece.calls));
    }
    let mut line = Map::new();
    match form {
        Form::Chat => {
            said.insert("role".to_owned(), json!("assistant"));
            line.insert("message".to_owned(), Value::Object(said));
        }
        Form::Generate => line = said,
    }
    line.insert("model".to_owned(), json!(model));
    line.insert("created_at".to_owned(), json!(now()));
    line.insert("done".to_owned(), json!(false));
    line
}

/// What the last line, or the only one, says beside.
struct End {
    done_reason: &'static str,
    usage: Option<Usage>,
    context: Option<Vec<u32>>,
    reading: Duration,
}

impl End {
    fn put_into(&self, mut line: Map<String, Value>, writing: Duration) -> Map<String, Value> {
        let nanos = |time: Duration| json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        line.insert("done".to_owned(), json!(true));
        line.insert("done_reason".to_owned(), json!(self.done_reason));
        line.insert("total_duration".to_owned(), nanos(self.reading + writing));
        line.insert("load_duration".to_owned(), json!(0));
        line.insert("prompt_eval_duration".to_owned(), nanos(self.reading));
        line.insert("eval_duration".to_owned(), nanos(writing));
        if let Some(usage) = self.usage {
            line.insert("prompt_eval_count".to_owned(), json!(usage.prompt_tokens));
            line.insert("eval_count".to_owned(), json!(usage.completion_tokens));
        }
        if let Some(context) = &self.context {
            line.insert("context".to_owned(), json!(context));
        }
        line
    }
}

/// A number for each of the newest tokens of the conversation.
fn context(ask: &Ask, answer: &Answer) -> Vec<u32> {
    let texts = ask.messages.iter().map(|message| &*message.text).chain([&*answer.text]);
    let number =
        |piece: &str| u32::try_from(fnv(FNV_START, piece.as_bytes()) % 50_000).unwrap_or(0);
    let mut context: Vec<_> = texts.flat_map(tokens::pieces).map(number).collect();
    context.drain(..context.len().saturating_sub(CONTEXT_MAX));
    context
}

fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.whole_calls().into_iter().enumerate().map(|(at, (call, arguments))| {
        json!({"id": call.id, "function": {"index": at, "name": call.name, "arguments": arguments}})
    });
    calls.collect()
}

/// Ollama has no reason of its own for a tool call.
fn done_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "stop",
        Finish::Length => "length",
    }
}

fn message(fields: &Fields<'_>) -> Result<Message, Fault> {
    let role = fields.string("role")?.ok_or_else(|| fields.missing("role"))?;
    let role = Role::read(role).ok_or_else(|| {
        Fault::field(fields.path("role"), format!("'{}' has an unknown role.", fields.path("role")))
    })?;
    let mut message = Message::new(role, fields.string("content")?.unwrap_or_default());
    message.images = images(fields)?;
    if let Some(calls) = fields.array("tool_calls")? {
        message.calls =
            calls.iter().filter_map(|call| call.get("function")).map(Value::to_string).collect();
    }
    Ok(message)
}

fn images(fields: &Fields<'_>) -> Result<u64, Fault> {
    let images = fields.array("images")?.unwrap_or_default();
    if images.iter().all(Value::is_string) {
        Ok(images.len() as u64)
    } else {
        Err(fields.wrong("images", "an array of base64 strings"))
    }
}

fn tool(fields: &Fields<'_>) -> Result<Tool, Fault> {
    let function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
    let name = function.string("name")?.ok_or_else(|| function.missing("name"))?;
    function.object("parameters")?;
    let description = function.string("description")?.unwrap_or_default();
    Ok(Tool::new(name, description, function.get("parameters")))
}

fn format(body: &Fields<'_>) -> Result<Format, Fault> {
    match body.get("format") {
        None => Ok(Format::Text),
        Some(Value::String(name)) if name.is_empty() => Ok(Format::Text),
        Some(Value::String(name)) if name == "json" => Ok(Format::JsonObject),
        Some(schema @ Value::Object(_)) => Ok(Format::Schema(schema.clone())),
        Some(_) => Err(body.wrong("format", "\"json\" or a JSON Schema")),
    }
}

/// A boolean, or how hard to think.
fn think(body: &Fields<'_>) -> Result<bool, Fault> {
    match body.get("think") {
        None => Ok(false),
        Some(Value::Bool(think)) => Ok(*think),
        Some(Value::String(level)) if matches!(level.as_str(), "low" | "medium" | "high") => {
            Ok(true)
        }
        Some(_) => Err(body.wrong("think", "a boolean, \"low\", \"medium\" or \"high\"")),
    }
}
