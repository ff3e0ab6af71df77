//! The models: which names there are, what each can do, and how one misbehaves by its name's suffix.
//! Knows no dialect's shapes, but both ways of writing a name (`demo`, `demo:latest`).

use http::StatusCode;

use crate::behaviour::Behaviour;
use crate::reply::Fault;

pub(crate) const CHAT_MODEL: &str = "demo";
pub(crate) const EMBEDDING_MODEL: &str = "demo-embed";
/// What the listings name as the window. The demo model reads a prompt of any length.
pub(crate) const CONTEXT_TOKENS: u64 = 32_768;
/// When the models were made, for the listings: 2026-01-01T00:00:00Z.
pub(crate) const MADE_AT_UNIX_S: u64 = 1_767_225_600;
/// The same, as RFC 3339 writes it.
pub(crate) const MADE_AT: &str = "2026-01-01T00:00:00Z";

#[derive(Debug)]
pub(crate) struct Catalogue {
    extra: Vec<String>,
    behaviour: Behaviour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skill {
    Chat,
    Embed,
}

impl Catalogue {
    /// `behaviour` is what every model does.
    pub(crate) fn new(extra: Vec<String>, behaviour: Behaviour) -> Self {
        Self { extra, behaviour }
    }

    pub(crate) fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// The names as OpenAI's listing has them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [CHAT_MODEL, EMBEDDING_MODEL].into_iter().chain(self.extra.iter().map(String::as_str))
    }

    /// The model's behaviour: everyone's, and what follows the `!` in its name.
    ///
    /// # Errors
    /// 400 where that is no behaviour.
    pub(crate) fn behaviour_of(&self, model: &str) -> Result<Behaviour, Fault> {
        let Some((_, quirks)) = plain(model).split_once('!') else {
            return Ok(self.behaviour);
        };
        self.behaviour.and(quirks).map_err(|error| Fault::field("model", format!("{error}.")))
    }

    /// Whether there is such a model and what it can do. Extra models can do everything.
    ///
    /// # Errors
    /// 404 for an unknown model, 400 for one that can't do this.
    pub(crate) fn check(&self, model: &str, skill: Skill) -> Result<(), Fault> {
        let able = match self.find(model) {
            None => {
                let message = format!(
                    "model '{model}' not found: the demo model has {CHAT_MODEL} and {EMBEDDING_MODEL}"
                );
                let fault = Fault {
                    field: Some("model".into()),
                    ..Fault::new(StatusCode::NOT_FOUND, message)
                };
                return Err(fault.code("model_not_found"));
            }
            Some(CHAT_MODEL) => skill == Skill::Chat,
            Some(EMBEDDING_MODEL) => skill == Skill::Embed,
            Some(_) => true,
        };
        match (able, skill) {
            (true, _) => Ok(()),
            (false, Skill::Chat) => {
                Err(Fault::field("model", format!("\"{model}\" does not support chat")))
            }
            (false, Skill::Embed) => {
                Err(Fault::field("model", format!("\"{model}\" does not support embeddings")))
            }
        }
    }

    /// The name, without tag and suffix, under which we know a model.
    pub(crate) fn find(&self, model: &str) -> Option<&str> {
        let whole = plain(model);
        let base = whole.split_once('!').map_or(whole, |(base, _)| plain(base));
        self.names().find(|name| {
            let name = plain(name);
            name.eq_ignore_ascii_case(base) || name.eq_ignore_ascii_case(whole)
        })
    }
}

/// The name as Ollama's listing has it.
pub(crate) fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

/// The name without what Ollama takes for granted in it.
fn plain(name: &str) -> &str {
    let name = name.strip_prefix("registry.ollama.ai/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::new(vec!["big-model".into(), "demo!crlf".into()], Behaviour::default())
    }

    #[test]
    fn a_model_is_found_under_each_way_of_writing_it() {
        for name in [
            "demo",
            "demo:latest",
            "Demo",
            "library/demo",
            "registry.ollama.ai/library/demo:latest",
            "demo!split=1",
            "demo:latest!split=1",
            "demo!split=1:latest",
            "big-model!crlf",
            "demo!crlf",
        ] {
            catalogue().check(name, Skill::Chat).unwrap();
            assert_eq!(
                catalogue().behaviour_of(name).unwrap().crlf,
                name.contains("crlf"),
                "{name}"
            );
        }
        catalogue().check("big-model", Skill::Embed).unwrap();
    }

    #[test]
    fn an_unknown_model_is_404_and_an_unable_one_400() {
        for name in ["demo2", "demo:7b", "", "other!split=1"] {
            assert_eq!(
                catalogue().check(name, Skill::Chat).unwrap_err().status,
                StatusCode::NOT_FOUND
            );
        }
        assert_eq!(
            catalogue().check("demo", Skill::Embed).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            catalogue().check("demo-embed", Skill::Chat).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        catalogue().behaviour_of("demo!sing").unwrap_err();
    }
}
