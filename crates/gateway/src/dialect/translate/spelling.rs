//! Fields in other letters than their own. Ollama's server takes `Tools` for `tools`; what we read
//! by its own name alone would go missing in silence, so such a request is refused.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Fields of the body that are read here; those that decide are checked before.
const BODY: [&str; 17] = [
    "tools",
    "tool_choice",
    "format",
    "think",
    "logprobs",
    "top_logprobs",
    "truncate",
    "shift",
    "suffix",
    "system",
    "template",
    "context",
    "images",
    "raw",
    "dimensions",
    "prompt",
    "input",
];
const MESSAGE: [&str; 7] =
    ["role", "content", "images", "thinking", "tool_calls", "tool_name", "tool_call_id"];

/// The first field of a body or of its messages that stands in other letters than its own.
#[must_use]
pub fn other_letters(body: &[u8]) -> Option<String> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_slice(body);
    let names = Names { known: &BODY, place: "", found: &mut found };
    // What isn't JSON is told by whoever reads it.
    let _ = names.deserialize(&mut json);
    found
}

/// The names in an object.
struct Names<'f> {
    known: &'static [&'static str],
    place: &'static str,
    found: &'f mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let other = |known: &&&str| **known != name && known.eq_ignore_ascii_case(&name);
            if let Some(known) = self.known.iter().find(other) {
                self.found.get_or_insert_with(|| format!("{}{known}", self.place));
            }
            if self.place.is_empty() && name == "messages" {
                map.next_value_seed(Messages(&mut *self.found))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The names in each of a list of messages.
struct Messages<'f>(&'f mut Option<String>);

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let names = Names { known: &MESSAGE, place: "messages[].", found: &mut *self.0 };
            if list.next_element_seed(names)?.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_letters_of_a_known_name_are_found() {
        for (body, found) in [
            (r#"{"tools":[],"mine":1,"messages":[{"role":"a","content":"Tools"}]}"#, None),
            (r#"{"Tools":[]}"#, Some("tools")),
            (
                r#"{"messages":[{"role":"a"},{"role":"b","Content":"x"}]}"#,
                Some("messages[].content"),
            ),
            (r#"{"options":{"Seed":1},"messages":[{"tool_calls":[{"Function":1}]}]}"#, None),
            (r#"{"messages":7,"FORMAT":"json"}"#, None),
            ("not json", None),
        ] {
            assert_eq!(other_letters(body.as_bytes()).as_deref(), found, "{body}");
        }
    }
}
