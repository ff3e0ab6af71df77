//! A block of an answer: its thinking, its text or one call, for the dialects that wrap and stream each apart.
//! Knows no dialect.

use serde_json::{Value, json};

use crate::tokens;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub kind: BlockKind,
    /// Its words; the arguments of a call.
    pub text: String,
    /// Whether it was not cut by the limit of tokens.
    pub whole: bool,
    first_piece_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Thinking,
    Text,
    Call { id: String, name: String },
}

impl Block {
    pub(crate) fn new(kind: BlockKind, text: String, first_piece_bytes: usize) -> Self {
        Self { kind, text, whole: true, first_piece_bytes }
    }

    /// Its text token by token.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = String> + Send + use<> {
        tokens::owned_pieces(self.text.clone(), self.first_piece_bytes)
    }

    /// The arguments of a call as an object; an empty one where they were cut.
    pub(crate) fn arguments(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| json!({}))
    }
}
