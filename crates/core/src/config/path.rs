//! The place of a setting: `listen.idle_s`, `upstreams.0.url`.

use std::fmt;

/// One step on the way to a setting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the root. Paths sort so that a list's items stand in their order, after the list.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path(Vec<Step>);

impl Path {
    /// From the dotted form; numbers are indices.
    pub fn dotted(text: &str) -> Self {
        Self(text.split('.').map(Step::from).collect())
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Its last key: the setting's own name, also for an item of a list.
    pub fn name(&self) -> &str {
        let key = |step: &Step| match step {
            Step::Key(_) => true,
            Step::Index(_) => false,
        };
        match self.0.iter().rfind(|step| key(step)) {
            Some(Step::Key(name)) => name,
            Some(Step::Index(_)) | None => "",
        }
    }

    /// The name of its environment variable.
    pub fn variable(&self) -> String {
        let steps: Vec<String> =
            self.0.iter().map(|step| step.to_string().to_ascii_uppercase()).collect();
        format!("{}{}", super::environment::PREFIX, steps.join("__"))
    }
}

impl From<&str> for Step {
    fn from(text: &str) -> Self {
        // More digits would not fit: such a step is no index of ours anyway.
        let is_index =
            !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(index) if is_index => Self::Index(index),
            _ => Self::Key(text.to_owned()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            // A file's keys are anyone's text: no control character of theirs gets to a terminal.
            Self::Key(key)
                if key.chars().all(super::format::is_name_char) && !key.contains('.') =>
            {
                f.write_str(key)
            }
            Self::Key(key) => write!(f, "{key:?}"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            step.fmt(f)?;
        }
        Ok(())
    }
}
