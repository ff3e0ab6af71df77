//! The fields that several of Ollama's routes take.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Form;
use super::fault::{invalid, wrong};
use super::members::kind_of;
use super::options::{self, Options};
use super::request::Writing;
use crate::dialect::outline::Kind;
use crate::refusal::Refusal;

/// See the module.
#[derive(Deserialize)]
pub struct Common<'a> {
    stream: Option<bool>,
    #[serde(borrow)]
    options: Option<Options<'a>>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    think: Option<&'a RawValue>,
    #[serde(borrow)]
    keep_alive: Option<&'a RawValue>,
    #[serde(borrow)]
    truncate: Option<&'a RawValue>,
    #[serde(borrow)]
    shift: Option<&'a RawValue>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
}

impl Common<'_> {
    /// Ollama streams where it isn't told otherwise.
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or(true)
    }

    pub fn write(&self, to: &mut Writing<'_>, form: Form) -> Result<(), Refusal> {
        to.members.put("stream", &self.streams());
        if let Some(options) = &self.options {
            options::write(options, to)?;
        }
        self.write_format(to)?;
        self.write_think(to, form)?;
        self.write_logprobs(to, form)?;
        self.drop_residence(to);
        Ok(())
    }

    /// JSON mode, or a schema; `strict` stays unset, since Ollama asks no schema to be closed.
    fn write_format(&self, to: &mut Writing<'_>) -> Result<(), Refusal> {
        let Some(format) = present(self.format) else { return Ok(()) };
        match (kind_of(format), format.get()) {
            (_, "\"\"") => {}
            (_, "\"json\"") => to.members.put("response_format", &ResponseFormat::JsonObject),
            (Some(Kind::Object), _) => {
                let json_schema = NamedSchema { name: "response", schema: format };
                to.members.put("response_format", &ResponseFormat::JsonSchema { json_schema });
            }
            _ => return Err(wrong("format", "\"json\" or a JSON schema")),
        }
        Ok(())
    }

    fn write_think(&self, to: &mut Writing<'_>, form: Form) -> Result<(), Refusal> {
        let Some(think) = present(self.think) else { return Ok(()) };
        match think.get() {
            // Bare text has no template that could be told.
            _ if form == Form::Text => to.dropped.note("think"),
            "true" | "false" => {
                let told = TemplateTold { enable_thinking: think.get() == "true" };
                to.extra("think", &["chat_template_kwargs"], &told);
            }
            "\"low\"" | "\"medium\"" | "\"high\"" => to.members.put("reasoning_effort", think),
            _ => return Err(wrong("think", "a boolean, low, medium or high")),
        }
        Ok(())
    }

    fn write_logprobs(&self, to: &mut Writing<'_>, form: Form) -> Result<(), Refusal> {
        if self.logprobs != Some(true) {
            return Ok(());
        }
        if form == Form::Text {
            return Err(invalid("logprobs", "can't stand beside `raw` or `suffix`"));
        }
        to.members.put("logprobs", &true);
        to.members.put_some("top_logprobs", self.top_logprobs.as_ref());
        Ok(())
    }

    /// How a model is held in memory is its server's own affair.
    fn drop_residence(&self, to: &mut Writing<'_>) {
        let fields =
            [("keep_alive", self.keep_alive), ("truncate", self.truncate), ("shift", self.shift)];
        for (field, value) in fields {
            if present(value).is_some() {
                to.dropped.note(field);
            }
        }
    }

    /// An embedding has no options at OpenAI's servers.
    pub fn drop_all(&self, to: &mut Writing<'_>) {
        for name in self.options.iter().flat_map(Options::keys) {
            to.dropped.note(name);
        }
        self.drop_residence(to);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: NamedSchema<'a> },
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    schema: &'a RawValue,
}

/// What llama.cpp's server and vLLM pass to a model's chat template.
#[derive(Serialize)]
struct TemplateTold {
    enable_thinking: bool,
}

/// Absent and `null` are the same.
pub fn present(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}
