//! Passwords: hashed with Argon2id, on threads that may block, a few at a time.

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params, PasswordHasher, Version};
use fluxgate_core::{Secret, config};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes of a password: long enough to need no rules about its characters, short enough that
/// hashing one costs what it should.
pub const BYTES: std::ops::RangeInclusive<usize> = 15..=1024;
/// Each takes 19 MiB and 60 ms of a core, by default.
const HASHED_AT_ONCE: usize = 2;
/// Whoever can't have a turn within this is told to come again.
const TURN_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The process has so many turns, however many ask.
static TURNS: Semaphore = Semaphore::const_new(HASHED_AT_ONCE);

/// Why a password can't be hashed.
#[derive(Debug, Error)]
pub enum PasswordError {
    #[error("a password has 15 to 1024 bytes")]
    Length,
    #[error("too many passwords are being checked")]
    Busy { retry_after: Duration },
    #[error("can't hash a password: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("can't hash a password with these parameters: {0}")]
    Parameters(#[from] argon2::Error),
    #[error("the thread that hashes a password failed: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Hashes a new password with a salt of its own: a PHC string, which names its parameters.
///
/// # Errors
/// [`PasswordError::Length`] is the caller's fault, [`PasswordError::Busy`] passes.
pub async fn hash(password: Secret, cost: config::Argon2) -> Result<String, PasswordError> {
    if !BYTES.contains(&password.expose().len()) {
        return Err(PasswordError::Length);
    }
    let turn = match timeout(TURN_WITHIN, TURNS.acquire()).await {
        Ok(Ok(turn)) => turn,
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => return Err(PasswordError::Busy { retry_after: RETRY_AFTER }),
    };
    let hashing = tokio::task::spawn_blocking(move || {
        // Held by the work itself: who stops waiting for it doesn't make room.
        let _turn = turn;
        hash_now(&password, cost)
    });
    hashing.await?
}

fn hash_now(password: &Secret, cost: config::Argon2) -> Result<String, PasswordError> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)?;
    let argon2 = argon2::Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password(password.expose().as_bytes())?;
    Ok(hash.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_hash_verifies_its_password_and_names_its_cost() {
        let phc = hash("correct horse battery".into(), config::Argon2::default()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let parsed = PasswordHash::new(&phc).unwrap();
        let verifies =
            |password: &[u8]| argon2::Argon2::default().verify_password(password, &parsed).is_ok();
        assert!(verifies(b"correct horse battery"));
        assert!(!verifies(b"correct horse batterz"));
    }

    #[tokio::test]
    async fn a_password_is_neither_short_nor_endless() {
        for length in [0, 14, 1025] {
            let outcome = hash("x".repeat(length).into(), config::Argon2::default()).await;
            assert!(matches!(outcome, Err(PasswordError::Length)), "{length}");
        }
    }
}
