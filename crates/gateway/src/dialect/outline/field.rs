//! The closed lists of members that we look at, and how a key finds its member. What may stand
//! twice, and what becomes part of a prompt, is said here and nowhere else.

use super::token::Key;
use super::value::unescape;

/// The longest key that can still mean one of ours: each letter of the longest name as `\uXXXX`.
const KEY_BYTES_MAX: usize = 6 * "max_completion_tokens".len();

/// Members of one object that we know.
pub trait Member: Copy {
    fn named(name: &str) -> Option<Self>;
    fn index(self) -> usize;
    /// The name with the member's object in front.
    fn path(self) -> &'static str;
    /// Whether we decide by it: such a one stands once and in its own spelling, or the request is
    /// refused, since the model server might read another value than we did.
    fn is_policy(self) -> bool;
}

macro_rules! members {
    (
        $(#[$doc:meta])* $list:ident in $object:literal:
        policy { $($policy:ident = $policy_name:literal),+ $(,)? }
        other { $($other:ident = $other_name:literal),* $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $list {
            $($policy,)+
            $($other,)*
        }

        impl $list {
            pub const ALL: &'static [Self] = &[$(Self::$policy,)+ $(Self::$other,)*];
            pub(super) const COUNT: usize = Self::ALL.len();

            /// The name as it stands in a body.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$policy => $policy_name,)+
                    $(Self::$other => $other_name,)*
                }
            }
        }

        impl Member for $list {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($policy_name => Some(Self::$policy),)+
                    $($other_name => Some(Self::$other),)*
                    _ => None,
                }
            }

            fn index(self) -> usize {
                self as usize
            }

            fn path(self) -> &'static str {
                match self {
                    $(Self::$policy => concat!($object, $policy_name),)+
                    $(Self::$other => concat!($object, $other_name),)*
                }
            }

            fn is_policy(self) -> bool {
                matches!(self, $(Self::$policy)|+)
            }
        }
    };
}

members! {
    /// Members of the body itself.
    Field in "":
    policy {
        Model = "model",
        Messages = "messages",
        Stream = "stream",
        StreamOptions = "stream_options",
        Options = "options",
        MaxTokens = "max_tokens",
        MaxCompletionTokens = "max_completion_tokens",
        MaxOutputTokens = "max_output_tokens",
        MaxTokensToSample = "max_tokens_to_sample",
        N = "n",
        BestOf = "best_of",
        Prompt = "prompt",
        Input = "input",
        KeepAlive = "keep_alive",
        // Ollama's old word for `model`.
        Name = "name",
    }
    other {
        System = "system",
        Instructions = "instructions",
        Tools = "tools",
        Functions = "functions",
        ResponseFormat = "response_format",
        Suffix = "suffix",
        Template = "template",
        Context = "context",
        Images = "images",
    }
}

members! {
    /// Members of `options`.
    OptionField in "options.":
    policy {
        NumPredict = "num_predict",
        NumCtx = "num_ctx",
    }
    other {}
}

members! {
    /// Members of `stream_options`.
    StreamOption in "stream_options.":
    policy {
        IncludeUsage = "include_usage",
    }
    other {}
}

impl Field {
    /// Whether the strings in it reach the model.
    pub(super) const fn is_prompt(self) -> bool {
        matches!(
            self,
            Self::Messages
                | Self::Prompt
                | Self::Input
                | Self::System
                | Self::Instructions
                | Self::Tools
                | Self::Functions
                | Self::ResponseFormat
                | Self::Suffix
                | Self::Template
                | Self::Context
                | Self::Images
        )
    }

    /// Whether a number in it is a token of the prompt.
    pub(super) const fn holds_tokens(self) -> bool {
        matches!(self, Self::Prompt | Self::Input | Self::Context)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    Exact,
    /// A server that matches without case takes it for the member.
    OtherCase,
}

/// The member that some server might take a key for.
#[inline]
pub fn find<M: Member>(key: &Key<'_>) -> Option<(M, Spelling)> {
    if key.escaped || key.raw.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        return find_folded(key.raw);
    }
    M::named(std::str::from_utf8(key.raw).ok()?).map(|member| (member, Spelling::Exact))
}

#[cold]
fn find_folded<M: Member>(raw: &[u8]) -> Option<(M, Spelling)> {
    if raw.len() > KEY_BYTES_MAX {
        return None;
    }
    let name = unescape(std::str::from_utf8(raw).ok()?);
    if let Some(member) = M::named(&name) {
        return Some((member, Spelling::Exact));
    }
    let folded: String = name.chars().map(folded).collect();
    M::named(&folded).map(|member| (member, Spelling::OtherCase))
}

/// Simple case folding as Go's `encoding/json` has it: beside the ASCII letters there are two whose
/// fold is ASCII, the long s and the Kelvin sign (Unicode's CaseFolding.txt).
fn folded(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}
