//! A refusal on its way to the client: what every room gives that refuses something. The dialects
//! and `admin/problem.rs` give it its form.

use std::borrow::Cow;
use std::time::Duration;

use fluxgate_core::Reason;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub reason: Reason,
    /// A safe sentence: no secret, no cause of ours, nothing of the body but field names.
    pub message: Cow<'static, str>,
    /// The field that is meant, where it is one.
    pub param: Option<Cow<'static, str>>,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), param: None, retry_after: None }
    }

    #[must_use]
    pub fn param(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(field.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
