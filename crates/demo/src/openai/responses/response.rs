//! The response object: what the request asked for, said again, around the output items.

use serde_json::{Map, Value, json};

use crate::answer::Finish;
use crate::fields::Fields;
use crate::reply::Fault;

pub(super) struct Response {
    /// All members, as they are while the answer is made.
    members: Map<String, Value>,
}

impl Response {
    /// `number` is the request's.
    pub(super) fn new(model: &str, body: &Fields<'_>, number: u64) -> Self {
        let given =
            |name: &str, usual: Value| (name.to_owned(), body.get(name).cloned().unwrap_or(usual));
        let said_again = [
            given("instructions", Value::Null),
            given("max_output_tokens", Value::Null),
            given("metadata", json!({})),
            given("parallel_tool_calls", json!(true)),
            given("reasoning", json!({"effort": null, "summary": null})),
            given("temperature", json!(1.0)),
            given("text", json!({"format": {"type": "text"}})),
            given("tool_choice", json!("auto")),
            given("tools", json!([])),
            given("top_p", json!(1.0)),
            given("user", Value::Null),
        ];
        let own = [
            ("id", json!(format!("resp_demo{number:016x}"))),
            ("object", json!("response")),
            ("created_at", json!(chrono::Utc::now().timestamp())),
            ("model", json!(model)),
            ("status", json!("in_progress")),
            ("background", json!(false)),
            ("error", Value::Null),
            ("incomplete_details", Value::Null),
            ("output", json!([])),
            ("previous_response_id", Value::Null),
            ("service_tier", json!("default")),
            ("store", json!(false)),
            ("truncation", json!("disabled")),
            ("usage", Value::Null),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self { members: said_again.into_iter().chain(own).collect() }
    }

    pub(super) fn in_progress(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// Completed, or incomplete where the limit of tokens cut it. Without usage none is mentioned.
    pub(super) fn ended(&self, finish: Finish, output: Vec<Value>, usage: Option<Value>) -> Value {
        let (status, details) = match finish {
            Finish::Stop | Finish::ToolCalls => ("completed", Value::Null),
            Finish::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        };
        let changed =
            [("status", json!(status)), ("incomplete_details", details), ("output", json!(output))];
        self.with(changed, usage)
    }

    pub(super) fn failed(&self, fault: &Fault, usage: Option<Value>) -> Value {
        let error = json!({"code": "server_error", "message": fault.message});
        self.with([("status", json!("failed")), ("error", error)], usage)
    }

    fn with<const N: usize>(&self, changed: [(&str, Value); N], usage: Option<Value>) -> Value {
        let mut members = self.members.clone();
        members.remove("usage");
        members.extend(usage.map(|usage| ("usage".to_owned(), usage)));
        members.extend(changed.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(members)
    }
}
