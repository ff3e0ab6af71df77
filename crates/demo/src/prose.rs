//! The words of the demo model: the same for the same conversation, and labelled as its own.
//! Knows the conversation, not tokens or dialects.

use crate::ask::{Ask, Role};

/// How much of a message the answer quotes.
const QUOTE_CHARS_MAX: usize = 280;

const LABEL: &str =
    "This is Fluxgate's built-in demo model, a small program without a neural network.";

const CLOSINGS: [&str; 6] = [
    "Connect a real model server and the same request will get a real answer.",
    "Everything around this answer is real: the key, the limits, the metering and the stream.",
    "Ask again in the same words and you will read the same answer.",
    "It reads patiently, answers politely and understands nothing.",
    "Its usage is counted token by token, as a provider would do it.",
    "A model that thinks can take its place whenever you like.",
];

/// What follows when an answer is to be long.
const FILLER: &str = " The demo model goes on as it was told, one plain sentence after another.";

/// The answer in plain words.
pub(crate) fn answer(ask: &Ask, choice: u32) -> String {
    let mut sentences = vec![LABEL.to_owned()];
    let results = ask.tool_results();
    if results.is_empty() {
        sentences.extend(about_the_user(ask));
    } else {
        let quoted: Vec<_> = results.iter().map(|result| quote(result)).collect();
        let subject = if quoted.len() == 1 { "The tool" } else { "The tools" };
        sentences.push(format!("{subject} answered: {}.", quoted.join(", ")));
    }
    let turns = ask.messages.iter().filter(|message| message.role == Role::User).count();
    if turns > 1 {
        sentences.push(format!("This is turn {turns} of the conversation."));
    }
    let pick = usize::try_from(ask.fingerprint() % 6).unwrap_or(0);
    sentences.extend(CLOSINGS.get(pick).map(|closing| (*closing).to_owned()));
    if choice > 0 {
        sentences.push(format!("This is choice {}.", choice + 1));
    }
    sentences.join(" ")
}

/// What it says it thought.
pub(crate) fn thought(ask: &Ask) -> String {
    let text = ask.last_user().map_or("", |message| &*message.text);
    format!("The demo model does not think. It counts: {}.", words(text))
}

/// A short answer, for where JSON was asked for.
pub(crate) fn short(ask: &Ask) -> String {
    match (ask.tool_results().last(), ask.last_user()) {
        (Some(result), _) => format!("The tool answered: {}.", quote(result)),
        (None, Some(user)) => format!("You wrote {}: {}.", words(&user.text), quote(&user.text)),
        (None, None) => "You wrote nothing.".to_owned(),
    }
}

/// Text of at least so many bytes, to append to an answer.
pub(crate) fn filler(bytes_min: usize) -> String {
    FILLER.repeat(bytes_min.div_ceil(FILLER.len()))
}

fn about_the_user(ask: &Ask) -> Vec<String> {
    let mut sentences = Vec::new();
    let Some(user) = ask.last_user() else {
        return sentences;
    };
    if !user.text.trim().is_empty() {
        sentences.push(format!("You wrote {}: {}.", words(&user.text), quote(&user.text)));
    }
    match user.images {
        0 => {}
        1 => sentences.push("You sent 1 image, which it cannot see.".to_owned()),
        images => sentences.push(format!("You sent {images} images, which it cannot see.")),
    }
    sentences
}

fn words(text: &str) -> String {
    match text.split_whitespace().count() {
        1 => "1 word".to_owned(),
        count => format!("{count} words"),
    }
}

fn quote(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        None => format!("“{text}”"),
        Some((end, _)) => format!("“{}…”", text.get(..end).unwrap_or_default()),
    }
}
