//! The answer to a conversation: words, JSON or tool calls, within its limits, and its parts as they stream.
//! Knows no dialect.

use serde_json::{Value, json};

use crate::ask::{Ask, Format};
use crate::behaviour::Behaviour;
use crate::block::{Block, BlockKind};
use crate::schema::{self, Words};
use crate::tokens;
use crate::tool::{self, Call};
use crate::{catalogue, prose};

/// A stream's parts are at most this long where nothing else is said; only `big-frame` asks for more.
const NO_MINIMUM: usize = 0;

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub thinking: String,
    pub text: String,
    pub calls: Vec<Call>,
    pub finish: Finish,
    /// The stop sequence before which the text ends, where it does not end earlier.
    pub stopped_by: Option<String>,
    /// What the answer costs: thinking, text, and each call's name and arguments.
    pub tokens: u64,
    first_part_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

/// One token of an answer, or the opening of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Thinking(String),
    Text(String),
    CallOpens { at: usize, id: String, name: String },
    CallArguments { at: usize, piece: String },
}

/// The answer; `choice` counts where several were asked for.
pub(crate) fn answer(ask: &Ask, behaviour: &Behaviour, choice: u32) -> Answer {
    let calls = tool::calls(ask);
    let mut first_part_bytes = NO_MINIMUM;
    let text = if calls.is_empty() {
        let mut text = plain_text(ask, choice);
        if let (Some(bytes), Format::Text) = (behaviour.big_frame_bytes, &ask.format) {
            first_part_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            text = prose::filler(first_part_bytes) + " " + &text;
        }
        text
    } else {
        String::new()
    };
    let text = match (behaviour.tokens, &ask.format) {
        (Some(tokens), Format::Text) if calls.is_empty() => of_length(text, u64::from(tokens)),
        _ => text,
    };
    let thinking = if ask.think { prose::thought(ask) } else { String::new() };
    let whole = Answer {
        thinking,
        text,
        calls,
        finish: Finish::Stop,
        stopped_by: None,
        tokens: 0,
        first_part_bytes,
    };
    whole.stopped(&ask.stop).limited(ask.tokens_max.unwrap_or(u64::MAX))
}

fn plain_text(ask: &Ask, choice: u32) -> String {
    match &ask.format {
        Format::Text => prose::answer(ask, choice),
        Format::JsonObject => {
            json!({"source": "Fluxgate demo model", "model": catalogue::CHAT_MODEL, "answer": prose::short(ask)})
                .to_string()
        }
        Format::Schema(schema) => {
            let prompt = ask.last_user().map_or("", |message| &*message.text);
            schema::instance(schema, &mut Words::of(prompt, "Fluxgate demo model: ", "")).to_string()
        }
    }
}

/// The text made as long as that, by going on or by breaking off.
fn of_length(mut text: String, tokens: u64) -> String {
    let have = tokens::count(&text);
    if have < tokens {
        let one = prose::filler(1);
        let repetitions = (tokens - have).div_ceil(tokens::count(&one).max(1));
        text += &one.repeat(usize::try_from(repetitions).unwrap_or(0));
    }
    tokens::cut(&text, tokens).0.to_owned()
}

impl Answer {
    /// Cut before the first of the stop sequences.
    fn stopped(mut self, stop: &[String]) -> Self {
        let given = stop.iter().filter(|stop| !stop.is_empty());
        let found = given.filter_map(|stop| Some((self.text.find(stop)?, stop)));
        if let Some((at, stop)) = found.min_by_key(|(at, _)| *at) {
            self.text.truncate(at);
            self.stopped_by = Some(stop.clone());
        }
        self
    }

    /// Cut to so many tokens, which are counted here.
    fn limited(mut self, tokens_max: u64) -> Self {
        let mut left = Left { tokens_max, tokens: 0, cut: false };
        left.take(&mut self.thinking);
        left.take(&mut self.text);
        for call in &mut self.calls {
            if left.fits(tokens::count(&call.name)) {
                left.take(&mut call.arguments);
            } else {
                call.name.clear();
            }
        }
        self.calls.retain(|call| !call.name.is_empty());
        self.tokens = left.tokens;
        self.finish = match (left.cut, self.calls.is_empty()) {
            (true, _) => Finish::Length,
            (false, true) => Finish::Stop,
            (false, false) => Finish::ToolCalls,
        };
        self.stopped_by = self.stopped_by.filter(|_| !left.cut);
        self
    }

    /// The calls whose arguments are whole, for dialects that send them as objects.
    pub(crate) fn whole_calls(&self) -> Vec<(&Call, Value)> {
        let whole = self.calls.iter().map(|call| (call, serde_json::from_str(&call.arguments)));
        whole.filter_map(|(call, arguments)| Some((call, arguments.ok()?))).collect()
    }

    /// The answer block by block; an empty one has none.
    pub(crate) fn blocks(self) -> Vec<Block> {
        let block = |kind, text| Block::new(kind, text, NO_MINIMUM);
        let thinking =
            (!self.thinking.is_empty()).then(|| block(BlockKind::Thinking, self.thinking));
        let text = (!self.text.is_empty())
            .then(|| Block::new(BlockKind::Text, self.text, self.first_part_bytes));
        let calls = self
            .calls
            .into_iter()
            .map(|call| block(BlockKind::Call { id: call.id, name: call.name }, call.arguments));
        let mut blocks: Vec<_> = thinking.into_iter().chain(text).chain(calls).collect();
        if let (Finish::Length, Some(last)) = (self.finish, blocks.last_mut()) {
            last.whole = false;
        }
        blocks
    }

    /// The answer token by token.
    pub(crate) fn parts(self) -> impl Iterator<Item = Part> + Send {
        let thinking = tokens::owned_pieces(self.thinking, NO_MINIMUM).map(Part::Thinking);
        let text = tokens::owned_pieces(self.text, self.first_part_bytes).map(Part::Text);
        let calls = self.calls.into_iter().enumerate().flat_map(|(at, call)| {
            let opens = Part::CallOpens { at, id: call.id, name: call.name };
            let pieces = tokens::owned_pieces(call.arguments, NO_MINIMUM);
            std::iter::once(opens).chain(pieces.map(move |piece| Part::CallArguments { at, piece }))
        });
        thinking.chain(text).chain(calls)
    }
}

/// What is left of the tokens that an answer may have.
struct Left {
    tokens_max: u64,
    tokens: u64,
    cut: bool,
}

impl Left {
    fn take(&mut self, text: &mut String) {
        let (beginning, tokens) = tokens::cut(text, self.tokens_max - self.tokens);
        let end = beginning.len();
        self.cut |= end < text.len();
        self.tokens += tokens;
        text.truncate(end);
    }

    fn fits(&mut self, tokens: u64) -> bool {
        let fits = !self.cut && tokens <= self.tokens_max - self.tokens;
        if fits {
            self.tokens += tokens;
        }
        self.cut |= !fits;
        fits
    }
}
