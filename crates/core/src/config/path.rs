//! The place of a setting: `listen.idle_s`, `upstreams.0.url`, `models."llama3.1*".alias_of`.

use std::fmt;
use std::str::Chars;

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
    /// From the dotted form, as it is displayed: numbers are indices, and a key that is more than
    /// a name stands in quotes.
    pub fn dotted(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            let (step, behind) = quoted(text).unwrap_or_else(|| match text.split_once('.') {
                Some((bare, behind)) => (bare.into(), Some(behind)),
                None => (text.into(), None),
            });
            steps.push(step);
            rest = behind;
        }
        Self(steps)
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
        let word = |step: &Step| match step {
            // No quotes there; what could upset a terminal stays escaped.
            Step::Key(key) if !key.chars().any(char::is_control) => key.to_ascii_uppercase(),
            Step::Key(_) | Step::Index(_) => step.to_string().to_ascii_uppercase(),
        };
        let words: Vec<String> = self.0.iter().map(word).collect();
        format!("{}{}", super::environment::PREFIX, words.join("__"))
    }
}

/// A key in quotes at the start, and what stands behind the dot after it.
fn quoted(text: &str) -> Option<(Step, Option<&str>)> {
    let mut key = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let behind = chars.as_str();
                let next = if behind.is_empty() { None } else { Some(behind.strip_prefix('.')?) };
                return Some((Step::Key(key), next));
            }
            '\\' => key.push(escaped(&mut chars)?),
            c => key.push(c),
        }
    }
    None
}

/// What an escape stands for: those that Rust writes.
fn escaped(chars: &mut Chars<'_>) -> Option<char> {
    match chars.next()? {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '0' => Some('\0'),
        'u' => {
            let (number, behind) = chars.as_str().strip_prefix('{')?.split_once('}')?;
            let c = u32::from_str_radix(number, 16).ok().and_then(char::from_u32)?;
            *chars = behind.chars();
            Some(c)
        }
        c => Some(c),
    }
}

impl From<&str> for Step {
    fn from(text: &str) -> Self {
        // More digits would not fit: such a step is no index of ours anyway.
        let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let is_index = is_number && (text == "0" || !text.starts_with('0'));
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
            // What would be read as something else stands in quotes, as in TOML.
            Self::Key(key) if is_bare(key) => f.write_str(key),
            Self::Key(key) => write!(f, "{key:?}"),
        }
    }
}

fn is_bare(key: &str) -> bool {
    let has_name_chars = key.chars().all(|c| super::format::is_name_char(c) && c != '.');
    has_name_chars && !key.is_empty() && matches!(Step::from(key), Step::Key(_))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_back_as_it_is_displayed() {
        for key in
            ["a", "", "4", "04", "gpt-4.1*", "a\"b", "a\\", "\u{1b}[2J", "tab\t.", "ü.ö", "'"]
        {
            let path = Path::default().key("models").key(key).index(3).key("alias_of");
            assert_eq!(Path::dotted(&path.to_string()), path, "{path}");
        }
        let path = Path::default().key("models").key("gpt-4.1*").key("alias_of");
        assert_eq!(path.to_string(), r#"models."gpt-4.1*".alias_of"#);
        assert_eq!(path.variable(), "FLUXGATE__MODELS__GPT-4.1*__ALIAS_OF");
    }

    #[test]
    fn quotes_that_do_not_close_are_part_of_the_key() {
        for text in ["a.\"b", "a.\"b\\", "a.\"b\"c", "a.\"\\u{110000}\""] {
            assert!(Path::dotted(text).steps().len() == 2, "{text}");
        }
    }
}
