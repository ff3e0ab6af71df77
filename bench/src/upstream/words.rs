//! What the mock model says, as each dialect words it. `<text>`, `<tokens>`, `<total>` and `<pad>`
//! stand for what is put there.

/// One dialect's words.
#[derive(Debug)]
pub struct Words {
    /// A whole answer, with its usage.
    pub whole: &'static str,
    /// A stream's events before its first token.
    pub opening: &'static [&'static str],
    /// The event of one token. Padded where the provider pads it.
    pub token: &'static str,
    /// The events behind the last token.
    pub end: &'static [Event],
}

#[derive(Debug)]
pub enum Event {
    Always(&'static str),
    /// Where the request asks for the usage.
    Usage(&'static str),
}

use Event::{Always, Usage};

pub const CHAT: Words = Words {
    whole: r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1790000000,"model":"bench-json-1k","choices":[{"index":0,"message":{"role":"assistant","content":"<text>"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":150,"total_tokens":350}}"#,
    opening: &[],
    token: r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-stream","choices":[{"index":0,"delta":{"content":"@1000000000000000000"},"finish_reason":null}],"obfuscation":"<pad>"}"#,
    end: &[
        Always(
            r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-stream","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ),
        Usage(
            r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1790000000,"model":"bench-stream","choices":[],"usage":{"prompt_tokens":200,"completion_tokens":<tokens>,"total_tokens":<total>}}"#,
        ),
        Always("data: [DONE]"),
    ],
};

pub const MESSAGES: Words = Words {
    whole: r#"{"id":"msg_bench","type":"message","role":"assistant","model":"bench-json-1k","content":[{"type":"text","text":"<text>"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":200,"output_tokens":150}}"#,
    opening: &[
        r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_bench","type":"message","role":"assistant","model":"bench-stream","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":200,"output_tokens":1}}}"#,
        r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    ],
    token: r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"@1000000000000000000"}<pad>}"#,
    end: &[
        Always(
            r#"event: content_block_stop
data: {"type":"content_block_stop","index":0}"#,
        ),
        Always(
            r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":<tokens>}}"#,
        ),
        Always(
            r#"event: message_stop
data: {"type":"message_stop"}"#,
        ),
    ],
};

/// `sequence_number` stands still: an event is made once, and nobody counts.
pub const RESPONSES: Words = Words {
    whole: r#"{"id":"resp_bench","object":"response","created_at":1790000000,"status":"completed","model":"bench-json-1k","output":[{"type":"message","id":"msg_bench","status":"completed","role":"assistant","content":[{"type":"output_text","text":"<text>","annotations":[]}]}],"usage":{"input_tokens":200,"output_tokens":150,"total_tokens":350}}"#,
    opening: &[r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_bench","object":"response","created_at":1790000000,"status":"in_progress","model":"bench-stream","output":[],"usage":null}}"#],
    token: r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":1,"item_id":"msg_bench","output_index":0,"content_index":0,"delta":"@1000000000000000000","obfuscation":"<pad>"}"#,
    end: &[Always(
        r#"event: response.completed
data: {"type":"response.completed","sequence_number":2,"response":{"id":"resp_bench","object":"response","created_at":1790000000,"status":"completed","model":"bench-stream","output":[],"usage":{"input_tokens":200,"output_tokens":<tokens>,"total_tokens":<total>}}}"#,
    )],
};
