//! Access tokens: JWTs (RFC 7519) signed with HS256 by `JWT_SECRET`, which signs nothing else. They
//! say which session somebody has, for ten minutes; what that session may do is looked up.
//!
//! Only what we write ourselves is read: these claims and no others, this algorithm, no header that
//! names a key (RFC 8725 §3.1, §3.10).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use fluxgate_core::{Secret, SessionId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long one is good for.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Clocks of replicas differ by less.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// Ours have about 400.
const BYTES_MAX: usize = 1_024;

const ISSUER: &str = "fluxgate";
const AUDIENCE: &str = "fluxgate";
/// The claim that tells it from whatever else `JWT_SECRET` might ever have signed.
const KIND: &str = "access";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    nbf: i64,
    jti: Uuid,
    typ: String,
    sid: SessionId,
}

/// The only members that a header may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainHeader {
    alg: String,
    typ: Option<String>,
}

/// Why a token isn't taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// Not one of ours.
    Invalid,
    /// It was ours until a while ago.
    Expired,
}

/// Draws and checks them. While the secret is being rotated, the previous one checks as well.
pub struct AccessTokens {
    signing: EncodingKey,
    checking: Vec<DecodingKey>,
    validation: Validation,
}

impl AccessTokens {
    #[must_use]
    pub fn new(secret: &Secret, previous: Option<&Secret>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf"]);
        // Times are compared here, where the clock is given.
        validation.validate_exp = false;
        let key = |secret: &Secret| DecodingKey::from_secret(secret.expose().as_bytes());
        Self {
            signing: EncodingKey::from_secret(secret.expose().as_bytes()),
            checking: std::iter::once(secret).chain(previous).map(key).collect(),
            validation,
        }
    }

    /// A token of the session, and its end: ten minutes from now, or the session's own.
    ///
    /// # Errors
    /// The library's, where it can't sign.
    pub fn draw(
        &self,
        session: SessionId,
        session_ends: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(Secret, DateTime<Utc>), jsonwebtoken::errors::Error> {
        let ends = session_ends.min(now + LIFETIME);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp: ends.timestamp(),
            nbf: now.timestamp(),
            jti: Uuid::new_v4(),
            typ: KIND.to_owned(),
            sid: session,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)?;
        Ok((token.into(), ends))
    }

    /// Whose session a token is of.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn check(&self, token: &[u8], now: DateTime<Utc>) -> Result<SessionId, TokenFault> {
        let claims = self.read(token)?;
        let ends = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenFault::Invalid)?;
        let begins = DateTime::from_timestamp(claims.nbf, 0).ok_or(TokenFault::Invalid)?;
        if begins - now > LEEWAY || ends - begins > LIFETIME {
            return Err(TokenFault::Invalid);
        }
        if now - ends >= LEEWAY { Err(TokenFault::Expired) } else { Ok(claims.sid) }
    }

    /// The same for whoever only wants to end that session: the token's own time may be over.
    #[must_use]
    pub fn session_to_end(&self, token: &[u8]) -> Option<SessionId> {
        self.read(token).ok().map(|claims| claims.sid)
    }

    fn read(&self, token: &[u8]) -> Result<Claims, TokenFault> {
        if token.len() > BYTES_MAX || !has_plain_header(token) {
            return Err(TokenFault::Invalid);
        }
        let decoded = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let claims = self.checking.iter().find_map(decoded).ok_or(TokenFault::Invalid)?.claims;
        if claims.typ == KIND { Ok(claims) } else { Err(TokenFault::Invalid) }
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(***)")
    }
}

fn has_plain_header(token: &[u8]) -> bool {
    let Some(header) = token.split(|byte| *byte == b'.').next() else { return false };
    let Ok(header) = URL_SAFE_NO_PAD.decode(header) else { return false };
    serde_json::from_slice::<PlainHeader>(&header).is_ok_and(|header| {
        header.alg == "HS256" && header.typ.is_none_or(|kind| kind.eq_ignore_ascii_case("JWT"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECRET: &str = "test-jwt-secret-0123456789abcdef0123";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_token_tells_its_session_for_ten_minutes() {
        let tokens = AccessTokens::new(&SECRET.into(), None);
        let session = SessionId::generate();
        let (token, ends) = tokens.draw(session, at(100_000), at(0)).unwrap();
        let check = |second| tokens.check(token.expose().as_bytes(), at(second));
        assert_eq!(ends, at(600));
        assert_eq!((check(0), check(599), check(604)), (Ok(session), Ok(session), Ok(session)));
        assert_eq!((check(605), check(606)), (Err(TokenFault::Expired), Err(TokenFault::Expired)));
        assert_eq!((check(-5), check(-6)), (Ok(session), Err(TokenFault::Invalid)));
        assert!(token.expose().len() < BYTES_MAX / 2);
    }

    #[test]
    fn it_ends_with_its_session() {
        let tokens = AccessTokens::new(&SECRET.into(), None);
        let (_, ends) = tokens.draw(SessionId::generate(), at(30), at(0)).unwrap();
        assert_eq!(ends, at(30));
    }

    #[test]
    fn while_the_secret_is_rotated_both_check_and_one_signs() {
        let (old, new) =
            (Secret::from(SECRET), Secret::from("another-jwt-secret-0123456789abcdef"));
        let before = AccessTokens::new(&old, Some(&new));
        let after = AccessTokens::new(&new, Some(&old));
        let done = AccessTokens::new(&new, None);
        let session = SessionId::generate();
        let text = |tokens: &AccessTokens| tokens.draw(session, at(600), at(0)).unwrap().0;
        let (of_old, of_new) = (text(&before), text(&after));
        for token in [&of_old, &of_new] {
            for tokens in [&before, &after] {
                assert_eq!(tokens.check(token.expose().as_bytes(), at(1)), Ok(session));
            }
        }
        assert!(done.check(of_new.expose().as_bytes(), at(1)).is_ok());
        assert!(done.check(of_old.expose().as_bytes(), at(1)).is_err());
    }
}
