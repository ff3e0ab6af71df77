//! What is counted, and for whom: the scopes that limits stand for and the measures they count.
//!
//! How much a scope may use is the configuration's business; counting is done elsewhere.

use std::fmt;

use crate::subject::Subject;

/// Whose use is counted together. Its text form is the one of stored keys and of logs: a subject's
/// own, `model:<glob>` or `gateway`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum QuotaScope {
    Subject(Subject),
    /// All use of the models whose names a glob matches; the glob as it stands in the configuration.
    Model(Box<str>),
    /// All use of this gateway, by all its replicas.
    Gateway,
}

/// What of a scope's use is counted in a window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Measure {
    Requests,
    /// Of prompt and answer.
    Tokens,
}

impl Measure {
    /// As it stands in stored keys, in logs and in labels of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

impl From<Subject> for QuotaScope {
    fn from(subject: Subject) -> Self {
        Self::Subject(subject)
    }
}

impl fmt::Display for QuotaScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Model(glob) => write!(f, "model:{glob}"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_as_its_subject_is() {
        let subject: Subject = "key:abcDEF012345".parse().unwrap();
        assert_eq!(QuotaScope::from(subject).to_string(), "key:abcDEF012345");
        assert_eq!(QuotaScope::Model("gpt-4*".into()).to_string(), "model:gpt-4*");
        assert_eq!(QuotaScope::Gateway.to_string(), "gateway");
    }
}
