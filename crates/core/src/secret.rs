//! Secrets: values that may be used and never shown. Printing, logging or serializing one gives
//! `***`; the memory is wiped when it is dropped.
//!
//! What a secret is for, and how long it must be, is the configuration's business.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use url::Url;

/// What is printed in a secret's place.
pub const MASK: &str = "***";

/// A password, a token or a key. Comparing two takes the same time wherever they differ; only
/// their lengths can be told from it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself: for a header, a hash or a signature, never for a log line.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A URL that may carry a password: it prints with the password masked.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl {
    whole: Secret,
    masked: Box<str>,
    scheme: Box<str>,
    port: Option<u16>,
}

impl SecretUrl {
    /// The URL as it was given, with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose()
    }

    /// The part before `://`, in small letters.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The port that it names.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for SecretUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, url::ParseError> {
        let url = Url::parse(text)?;
        Ok(Self {
            whole: text.into(),
            masked: mask_url(&url).into(),
            scheme: url.scheme().into(),
            port: url.port(),
        })
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked)
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The cause could quote the URL, and with it the password.
        text.parse().map_err(|_| serde::de::Error::custom("not a URL"))
    }
}

/// Parameters of database URLs that are known to hold no secret. Any other one is masked, because
/// drivers take passwords, tokens and key files there too.
const OPEN_PARAMETERS: [&str; 10] = [
    "application_name",
    "cache",
    "connect_timeout",
    "dbname",
    "host",
    "mode",
    "port",
    "protocol",
    "sslmode",
    "user",
];

/// The URL for people's eyes: its password, its fragment and the parameters that could hold a
/// secret are replaced.
#[must_use]
pub fn mask_url(url: &Url) -> String {
    let mut masked = url.clone();
    if masked.password().is_some() {
        // Fails only for URLs without a host, and those have no password.
        let _ = masked.set_password(Some(MASK));
    }
    if let Some(query) = url.query() {
        let parameters: Vec<String> = query.split('&').map(mask_parameter).collect();
        masked.set_query(Some(&parameters.join("&")));
    }
    if url.fragment().is_some() {
        masked.set_fragment(Some(MASK));
    }
    masked.into()
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if OPEN_PARAMETERS.contains(&name) => parameter.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_three_stars_and_gives_its_value_only_when_asked() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""***""#);
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn secrets_are_equal_when_their_values_are() {
        assert_eq!(Secret::from("hunter2"), Secret::from("hunter2".to_owned()));
        assert_ne!(Secret::from("hunter2"), Secret::from("hunter3"));
        assert_ne!(Secret::from("hunter2"), Secret::from("hunter22"));
    }

    #[test]
    fn a_url_shows_everything_but_what_could_be_secret() {
        let masked = |text: &str| mask_url(&text.parse().unwrap());
        assert_eq!(masked("postgres://fg:p%40ss@db:5432/fg"), "postgres://fg:***@db:5432/fg");
        assert_eq!(masked("redis://:p4ss@cache/0"), "redis://:***@cache/0");
        assert_eq!(
            masked("postgres://db/fg?sslmode=require&password=p4ss&p4ss"),
            "postgres://db/fg?sslmode=require&password=***&***"
        );
        assert_eq!(masked("postgres://fg@db/fg#p4ss"), "postgres://fg@db/fg#***");
        assert_eq!(masked("http://127.0.0.1:11434/v1"), "http://127.0.0.1:11434/v1");
    }

    #[test]
    fn a_secret_url_keeps_what_was_given_and_prints_it_masked() {
        let url: SecretUrl = "postgres://fg:p4ss@db:6543/fg".parse().unwrap();
        assert_eq!(url.expose(), "postgres://fg:p4ss@db:6543/fg");
        assert_eq!((url.scheme(), url.port()), ("postgres", Some(6543)));
        assert_eq!(
            format!("{url} {url:?}"),
            "postgres://fg:***@db:6543/fg postgres://fg:***@db:6543/fg"
        );
        assert_eq!(serde_json::to_string(&url).unwrap(), r#""postgres://fg:***@db:6543/fg""#);
    }

    #[test]
    fn an_unreadable_url_is_not_quoted_in_the_error() {
        let error = serde_json::from_str::<SecretUrl>(r#""postgres://fg:p4ss@db:notaport/fg""#);
        assert!(!error.unwrap_err().to_string().contains("p4ss"));
    }
}
