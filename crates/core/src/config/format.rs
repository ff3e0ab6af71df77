//! The forms that a text may have to have: addresses, URLs, networks, names, tokens.
//!
//! Each is a type that stands in the JSON Schema as a `format`, and an entry of [`FORMATS`] that
//! checks a text against it. What is found wrong never quotes a text that could be a secret.

use std::borrow::Cow;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use url::{Position, Url};

use crate::glob::WILDCARDS;
use crate::secret::SecretUrl;

/// Characters in the name of a replica or an upstream: it becomes a metric's label.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes in the name of a model, or in a glob of names.
pub const MODEL_BYTES_MAX: usize = 256;
/// Octets in an address of mail (RFC 5321 §4.5.3.1.3, less the angle brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// One form of text.
pub struct Format {
    /// As the schema's `format` says it.
    pub name: &'static str,
    /// Completes "expected …".
    pub expected: &'static str,
    pub check: fn(&str) -> Verdict,
}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Good,
    /// Not of the form at all.
    Malformed,
    /// Of the form, but refused: the sentence says why and what would be right.
    Refused(&'static str),
}

/// The form of that name.
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

macro_rules! formats {
    ($($(#[$doc:meta])* $marker:ident, $name:literal, secret: $secret:literal, $expected:literal, $check:expr;)*) => {
        $(
            $(#[$doc])*
            pub struct $marker;

            impl JsonSchema for $marker {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($marker).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    if $secret {
                        json_schema!({ "type": "string", "format": $name, "writeOnly": true })
                    } else {
                        json_schema!({ "type": "string", "format": $name })
                    }
                }
            }
        )*

        const FORMATS: &[Format] =
            &[$(Format { name: $name, expected: $expected, check: $check }),*];
    };
}

formats! {
    /// Where to listen.
    ListenAddress, "listen-address", secret: false,
        "an address with a port, such as 127.0.0.1:8443 or [::1]:8443, or \"off\"",
        |text| parsed(listen_address::parse(text));
    /// The start of a server's URLs.
    BaseUrl, "base-url", secret: false,
        "an http or https URL, such as http://127.0.0.1:11434", base_url;
    /// Scheme, host and port.
    Origin, "origin", secret: false,
        "an origin, such as https://ai.example.com", origin;
    /// A network.
    Cidr, "cidr", secret: false,
        "a network in CIDR form, such as 10.0.0.0/8, or 10.0.0.7/32 for a single address",
        |text| parsed(text.parse::<IpNet>().ok());
    /// Where the database is.
    DatabaseUrl, "database-url", secret: true,
        "postgres://user:password@host/database or sqlite://path",
        |text| store_url(text, &["postgres", "postgresql", "sqlite"]);
    /// Where Redis is.
    RedisUrl, "redis-url", secret: true,
        "redis://user:password@host:6379 or rediss://…",
        |text| store_url(text, &["redis", "rediss"]);
    /// A secret of any bytes.
    Opaque, "opaque", secret: true, "a secret", |_| Verdict::Good;
    /// A secret that travels in a header.
    Token, "token", secret: true, "a token", token;
    /// A name that may stand in a metric.
    Name, "name", secret: false,
        "1 to 64 letters, digits, dots, dashes or underscores", name;
    /// The name of one model.
    ModelName, "model-name", secret: false, "a model's name, without spaces", model_name;
    /// Names of models.
    ModelGlob, "model-glob", secret: false,
        "a model's name or a glob of names, without spaces", |text| parsed(is_word(text).then_some(()));
    /// An address of mail.
    Email, "email", secret: false, "an email address", email;
}

/// Whether a name may contain it.
pub const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn parsed<T>(value: Option<T>) -> Verdict {
    if value.is_some() { Verdict::Good } else { Verdict::Malformed }
}

fn name(text: &str) -> Verdict {
    let length_fits = (1..=NAME_BYTES_MAX).contains(&text.len());
    parsed((length_fits && text.chars().all(is_name_char)).then_some(()))
}

/// Servers are free in the names of their models, but none has a space in one.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

fn model_name(text: &str) -> Verdict {
    if text.contains(WILDCARDS) {
        Verdict::Refused("expected the name of one model, without * and ?")
    } else {
        parsed(is_word(text).then_some(()))
    }
}

/// The form of a table's keys that are globs of models.
pub fn model_glob() -> Value {
    json!({ "format": "model-glob", "minLength": 1, "maxLength": MODEL_BYTES_MAX })
}

fn email(text: &str) -> Verdict {
    let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !domain.contains('@') && !domain.ends_with('.')
    });
    let printable = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    parsed((well_formed && printable && text.len() <= EMAIL_BYTES_MAX).then_some(()))
}

/// RFC 9110 §5.5 lets nothing else through a header unharmed.
fn token(text: &str) -> Verdict {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Verdict::Good
    } else {
        Verdict::Refused("expected visible ASCII characters without spaces: it travels in a header")
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn base_url(text: &str) -> Verdict {
    let Some(url) = web_url(text) else {
        return Verdict::Malformed;
    };
    if has_credentials(&url) {
        return Verdict::Refused(
            "expected a URL without user and password: give the credential as api_key of an [[upstreams]] entry",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Verdict::Refused("expected a base URL, without a query and without a fragment");
    }
    Verdict::Good
}

fn origin(text: &str) -> Verdict {
    let Some(url) = web_url(text) else {
        return Verdict::Malformed;
    };
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if bare && !has_credentials(&url) {
        Verdict::Good
    } else {
        Verdict::Refused("expected scheme, host and port alone, such as https://ai.example.com")
    }
}

fn store_url(text: &str, schemes: &[&str]) -> Verdict {
    let Ok(url) = SecretUrl::from_str(text) else {
        return Verdict::Malformed;
    };
    if !schemes.contains(&url.scheme()) {
        return Verdict::Malformed;
    }
    // A password with a bare `/`, `?` or `#` ends the host early: the rest of it would be taken
    // for a path or a query, and shown as one.
    let strays = Url::parse(text).is_ok_and(|url| url[Position::BeforePath..].contains('@'));
    if strays || text.contains('#') {
        return Verdict::Refused(
            "expected a URL with the special characters of its password percent-encoded (/ is %2F, ? is %3F, # is %23, @ is %40)",
        );
    }
    Verdict::Good
}

/// `Option<SocketAddr>` as text: "off" and the empty text are none.
pub mod listen_address {
    use std::net::{Ipv4Addr, SocketAddr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// The outer `None`: not an address.
    #[expect(clippy::option_option, reason = "the inner one is the value: no listener")]
    pub fn parse(text: &str) -> Option<Option<SocketAddr>> {
        if text.is_empty() || text.eq_ignore_ascii_case("off") {
            return Some(None);
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port: u16 = port.parse().ok()?;
            return Some(Some((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().ok().map(Some)
    }

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str("off"),
        }
    }

    /// # Errors
    /// Where it is no address.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("not an address with a port"))
    }
}

/// A number of bytes: a whole number, or a text such as "32MiB".
pub struct ByteSize;

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "pattern": "^[0-9]+ ?([KMGT]iB|B)?$" })
    }
}

/// Reads what [`ByteSize`] describes.
pub fn byte_size(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: i64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}
