//! Passwords: which ones a new account may have, and how they are kept. It knows nothing of users,
//! routes or stores.

mod blocklist;
mod cost;
mod hasher;

use std::ops::RangeInclusive;
use std::time::Duration;

use fluxgate_core::Secret;
use thiserror::Error;

pub use cost::Verified;
pub use hasher::{Asker, PasswordHasher};

/// Bytes of a password: long enough to need no rules about its characters, short enough that
/// hashing one costs what it should.
pub const BYTES: RangeInclusive<usize> = 15..=1_024;

/// A password that somebody may choose.
#[derive(Debug)]
pub struct NewPassword(Secret);

/// Why nobody may choose this password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PasswordFault {
    #[error("too short: use 15 bytes or more, such as a few words that don't belong together")]
    TooShort,
    #[error("too long: use 1024 bytes or fewer")]
    TooLong,
    #[error(
        "too common: it would be among the first guesses; use a few words that don't belong together"
    )]
    Common,
    #[error(
        "too easy to guess: it is the account's own name; use a few words that don't belong together"
    )]
    OwnName,
}

/// Why a password can't be hashed or checked.
#[derive(Debug, Error)]
pub enum PasswordError {
    #[error(transparent)]
    Fault(#[from] PasswordFault),
    #[error("too many passwords are being checked")]
    Busy { retry_after: Duration },
    #[error("can't hash a password: {0}")]
    Hash(#[source] argon2::password_hash::Error),
    #[error("the stored hash of a password can't be read: {0}")]
    Stored(#[source] argon2::password_hash::Error),
    #[error("the thread that hashed a password failed")]
    Thread,
}

impl NewPassword {
    /// Holds a password against the policy. `names` are what the account is known by: addresses of
    /// mail, of which the part before the `@` counts too.
    ///
    /// # Errors
    /// [`PasswordFault`], the caller's own.
    pub fn check(password: Secret, names: &[&str]) -> Result<Self, PasswordFault> {
        let text = password.expose();
        if text.len() < *BYTES.start() {
            return Err(PasswordFault::TooShort);
        }
        if text.len() > *BYTES.end() {
            return Err(PasswordFault::TooLong);
        }
        let locals = names.iter().filter_map(|name| Some(name.split_once('@')?.0));
        if names.iter().copied().chain(locals).any(|name| is_repeated_name(text, name)) {
            return Err(PasswordFault::OwnName);
        }
        if blocklist::is_common(text) {
            return Err(PasswordFault::Common);
        }
        Ok(Self(password))
    }

    /// One that is somebody's already, whatever the policy says of it now.
    #[must_use]
    pub const fn in_use(password: Secret) -> Self {
        Self(password)
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// The whole name, once or over and over, in any case.
fn is_repeated_name(password: &str, name: &str) -> bool {
    let small = |text| str::chars(text).flat_map(char::to_lowercase);
    let (chars, name_chars) = (small(password).count(), small(name).count());
    name_chars > 0
        && chars.is_multiple_of(name_chars)
        && small(password).eq(small(name).cycle().take(chars))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), PasswordFault> {
        NewPassword::check(password.into(), &["Ada@Example.org", "kim"]).map(|_| ())
    }

    #[test]
    fn a_password_has_15_to_1024_bytes_and_no_other_form() {
        for (password, outcome) in [
            ("", Err(PasswordFault::TooShort)),
            ("fourteen bytes", Err(PasswordFault::TooShort)),
            ("fifteen bytes !", Ok(())),
            // Bytes, not characters.
            ("żółć żółć", Ok(())),
            ("CORRECT HORSE BATTERY", Ok(())),
        ] {
            assert_eq!(check(password), outcome, "{password}");
        }
        let long = "correct horse battery ".repeat(47);
        assert_eq!(check(&long[..1_024]), Ok(()));
        assert_eq!(check(&long[..1_025]), Err(PasswordFault::TooLong));
    }

    #[test]
    fn a_common_password_is_refused() {
        assert_eq!(check("passwordpassword"), Err(PasswordFault::Common));
        assert_eq!(check("qwertyuiopasdfgh"), Err(PasswordFault::Common));
        assert_eq!(check("manchesterunited"), Err(PasswordFault::Common));
    }

    #[test]
    fn the_accounts_own_name_is_refused_and_a_phrase_with_it_is_not() {
        for password in [
            "ada@example.org",
            "ADA@EXAMPLE.ORG",
            "ada@example.orgada@example.org",
            "adaadaadaadaada",
            "AdaAdaAdaAdaAdaAda",
            "KimKimKimKimKim",
        ] {
            assert_eq!(check(password), Err(PasswordFault::OwnName), "{password}");
        }
        for password in ["ada@example.org1", "ada has a horse and a goat", "example.org is ours"] {
            assert_eq!(check(password), Ok(()), "{password}");
        }
        let nameless = NewPassword::check("correct horse battery".into(), &["", "@example.org"]);
        assert!(nameless.is_ok());
    }

    #[test]
    fn a_fault_says_what_to_do_and_nothing_shows_the_password() {
        let faults = [PasswordFault::TooShort, PasswordFault::Common, PasswordFault::OwnName];
        assert!(faults.iter().all(|fault| fault.to_string().contains("a few words")));
        let password = NewPassword::check("correct horse battery".into(), &[]).unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword(***)");
    }
}
