//! How the demo model misbehaves when it is told to: one closed set, written `name` or `name=value`, joined
//! by commas. Knows nothing of how each is carried out.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

/// Longest answer that `tokens=N` makes.
const TOKENS_MAX: u32 = 1_000_000;
/// Longest first frame that `big-frame=BYTES` makes.
const FRAME_BYTES_MAX: u32 = 64 << 20;
/// What a 429 names when nothing else is asked for.
const RETRY_AFTER_S: u32 = 7;

/// What each behaviour does, as the command line prints it.
pub const BEHAVIOURS: &str = "\
die-after=N            N frames, then a TCP reset (a whole answer: half of it)
stall-after=N          N frames, then silence on an open socket (a whole answer: half of it)
fail-after=N           N frames, then the dialect's error in the stream, and its end
stall-head             no answer at all
status=CODE            an error of that status, 400 to 599; 429 comes with retry-after: 7
retry-after=SECONDS    that header on the error
redirect               307 to another path
wrong-json             200 with broken JSON, or one broken frame in the stream
no-usage               no usage, even where it was asked for
absurd-usage           a usage of 999999999999 tokens
null-usage-on-chunks   \"usage\":null on each chunk of an OpenAI stream
refuse-stream-options  400 naming stream_options where it is given
no-responses           404 on /v1/responses
split=BYTES            pieces of that many bytes, cut anywhere
merge                  16 frames a write
crlf                   SSE lines end in CR LF
pace=MICROS            time per token
tokens=N               length of the answer
big-frame=BYTES        a first frame with that much text
cookie                 set-cookie, server and x-internal-* headers
close                  Connection: close
idle-close=MS          a kept connection is closed after that long
echo                   200 with the very bytes of the request's body
listings-too           the GET routes misbehave as well";

/// What to do otherwise than well. The default is to do everything well.
///
/// Set for a whole server, it concerns the routes that do a model's work; with [`Behaviour::listings_too`]
/// all. `cookie`, `close` and `idle-close` concern every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behaviour {
    pub die_after: Option<u32>,
    pub stall_after: Option<u32>,
    pub fail_after: Option<u32>,
    pub stall_head: bool,
    pub status: Option<StatusCode>,
    pub retry_after_s: Option<u32>,
    pub redirect: bool,
    pub wrong_json: bool,
    pub no_usage: bool,
    pub absurd_usage: bool,
    pub null_usage_on_chunks: bool,
    pub refuse_stream_options: bool,
    pub no_responses: bool,
    pub split_bytes: Option<NonZeroUsize>,
    pub merge: bool,
    pub crlf: bool,
    pub pace: Option<Duration>,
    pub tokens: Option<u32>,
    pub big_frame_bytes: Option<u32>,
    pub cookie: bool,
    pub close: bool,
    pub idle_close: Option<Duration>,
    pub echo: bool,
    pub listings_too: bool,
}

/// Why a text is no behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BehaviourError {
    #[error("there is no behaviour `{0}`")]
    Unknown(String),
    #[error("`{name}` wants {wanted}")]
    Value { name: String, wanted: &'static str },
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, BehaviourError> {
        Self::default().and(text)
    }
}

impl Behaviour {
    /// This behaviour and, over it, what `text` adds.
    ///
    /// # Errors
    /// A name that there is not, or a value that does not fit its name.
    pub fn and(mut self, text: &str) -> Result<Self, BehaviourError> {
        for quirk in text.split(',').map(str::trim).filter(|quirk| !quirk.is_empty()) {
            self.add(quirk)?;
        }
        Ok(self)
    }

    fn add(&mut self, quirk: &str) -> Result<(), BehaviourError> {
        let (name, value) = match quirk.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (quirk, None),
        };
        let value = Setting { name, value };
        match name {
            "die-after" => self.die_after = Some(value.number(0, u32::MAX)?),
            "stall-after" => self.stall_after = Some(value.number(0, u32::MAX)?),
            "fail-after" => self.fail_after = Some(value.number(0, u32::MAX)?),
            "stall-head" => self.stall_head = value.none()?,
            "status" => self.status = Some(value.status()?),
            "retry-after" => self.retry_after_s = Some(value.number(0, u32::MAX)?),
            "redirect" => self.redirect = value.none()?,
            "wrong-json" => self.wrong_json = value.none()?,
            "no-usage" => self.no_usage = value.none()?,
            "absurd-usage" => self.absurd_usage = value.none()?,
            "null-usage-on-chunks" => self.null_usage_on_chunks = value.none()?,
            "refuse-stream-options" => self.refuse_stream_options = value.none()?,
            "no-responses" => self.no_responses = value.none()?,
            "split" => {
                let bytes = value.number(1, u32::MAX)?;
                self.split_bytes = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
            }
            "merge" => self.merge = value.none()?,
            "crlf" => self.crlf = value.none()?,
            "pace" => {
                let micros = value.number(0, u32::MAX)?;
                self.pace = Some(Duration::from_micros(u64::from(micros)));
            }
            "tokens" => self.tokens = Some(value.number(0, TOKENS_MAX)?),
            "big-frame" => self.big_frame_bytes = Some(value.number(1, FRAME_BYTES_MAX)?),
            "cookie" => self.cookie = value.none()?,
            "close" => self.close = value.none()?,
            "idle-close" => {
                let ms = value.number(0, u32::MAX)?;
                self.idle_close = Some(Duration::from_millis(u64::from(ms)));
            }
            "echo" => self.echo = value.none()?,
            "listings-too" => self.listings_too = value.none()?,
            _ => return Err(BehaviourError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// What of it concerns a listing: all, or what concerns every answer.
    pub(crate) fn for_listings(&self) -> Self {
        if self.listings_too {
            return *self;
        }
        let Self { cookie, close, idle_close, .. } = *self;
        Self { cookie, close, idle_close, ..Self::default() }
    }

    /// The `retry-after` of an error.
    pub(crate) fn retry_after_s(&self) -> Option<u32> {
        let usual = self.status == Some(StatusCode::TOO_MANY_REQUESTS);
        self.retry_after_s.or(usual.then_some(RETRY_AFTER_S))
    }
}

struct Setting<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl Setting<'_> {
    fn none(&self) -> Result<bool, BehaviourError> {
        match self.value {
            None => Ok(true),
            Some(_) => Err(self.wants("no value")),
        }
    }

    fn number(&self, min: u32, max: u32) -> Result<u32, BehaviourError> {
        let number = self.value.and_then(|value| value.parse::<u32>().ok());
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.wants("a whole number in its range"))
    }

    fn status(&self) -> Result<StatusCode, BehaviourError> {
        let code = u16::try_from(self.number(400, 599)?).ok();
        code.and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| self.wants("a status from 400 to 599"))
    }

    fn wants(&self, wanted: &'static str) -> BehaviourError {
        BehaviourError::Value { name: self.name.to_owned(), wanted }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_behaviour_of_the_list_is_understood() {
        for line in BEHAVIOURS.lines() {
            let written = line.split_whitespace().next().unwrap();
            let quirk = match written.split_once('=') {
                Some((name, _)) => format!("{name}=500"),
                None => written.to_owned(),
            };
            let behaviour: Behaviour = quirk.parse().unwrap();
            assert_ne!(behaviour, Behaviour::default(), "{quirk}");
        }
    }

    #[test]
    fn several_are_joined_by_commas_and_the_later_wins() {
        let behaviour: Behaviour = "die-after=3, split=1,die-after=4".parse().unwrap();
        assert_eq!(behaviour.die_after, Some(4));
        assert_eq!(behaviour.split_bytes, NonZeroUsize::new(1));
        assert_eq!(behaviour.and("crlf").unwrap().die_after, Some(4));
    }

    #[test]
    fn a_wrong_name_or_value_is_refused() {
        for wrong in
            ["dye-after=1", "die-after", "die-after=-1", "merge=1", "status=200", "split=0"]
        {
            wrong.parse::<Behaviour>().unwrap_err();
        }
        let error = "tokens=9000000".parse::<Behaviour>().unwrap_err();
        assert!(error.to_string().starts_with("`tokens` wants"));
    }
}
