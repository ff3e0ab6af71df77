//! Hashing and checking one password, at the configured cost, on the thread that calls.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use fluxgate_core::{Secret, config};

use super::{BYTES, NewPassword, PasswordError};

/// The most that can be configured. A stored hash that asks for more isn't ours, and would take
/// more memory than there may be.
const MEMORY_KIB_MAX: u32 = 1_048_576;
const PASSES_MAX: u32 = 20;
const LANES_MAX: u32 = 16;
/// Checked in the place of what can't be anybody's password.
const STAND_IN: &[u8] = b"in the place of what can't be a password";

/// What checking a password gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verified {
    /// It isn't the account's, or there is none.
    Wrong,
    /// It is. An `outdated` hash cost less than one does now: make it anew.
    Right { outdated: bool },
}

/// See the module.
pub struct Cost {
    params: Params,
    /// Checked where an account has no password or doesn't exist; nothing hashes to it.
    decoy: PasswordHash,
}

impl Cost {
    pub fn new(cost: config::Argon2) -> Result<Self, Error> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)?;
        let decoy = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: (&params).try_into()?,
            salt: Some(Salt::new(&[0; Salt::RECOMMENDED_LENGTH])?),
            hash: Some(Output::new(&[0; Params::DEFAULT_OUTPUT_LEN])?),
        };
        Ok(Self { params, decoy })
    }

    /// A PHC string, which names its parameters, with a salt of its own.
    pub fn hash(&self, password: &NewPassword) -> Result<String, PasswordError> {
        let hash: PasswordHash =
            self.argon2().hash_password(password.as_bytes()).map_err(PasswordError::Hash)?;
        Ok(hash.to_string())
    }

    /// Costs the same whether or not there is a password, and whatever is given for it: over a hash
    /// from before a raise of the cost, the rest is made up for. Only one from before a *cut* tells,
    /// by taking longer, that there is an account, until its owner has set another password.
    pub fn verify(&self, password: &Secret, phc: Option<&str>) -> Result<Verified, PasswordError> {
        let stored = phc.map(read).transpose().map_err(PasswordError::Stored)?;
        let is_possible = (1..=*BYTES.end()).contains(&password.expose().len());
        let given = if is_possible { password.expose().as_bytes() } else { STAND_IN };
        let against = stored.as_ref().unwrap_or(&self.decoy);
        let fits = match self.argon2().verify_password(given, against) {
            Ok(()) => true,
            Err(Error::PasswordInvalid) => false,
            Err(error @ Error::OutOfMemory) => return Err(PasswordError::Hash(error)),
            Err(error) => return Err(PasswordError::Stored(error)),
        };
        match stored {
            Some(stored) if fits && is_possible => {
                Ok(Verified::Right { outdated: self.is_outdated(&stored) })
            }
            Some(stored) => {
                self.make_up_for(&stored, given)?;
                Ok(Verified::Wrong)
            }
            None => Ok(Verified::Wrong),
        }
    }

    /// Hashes for as long as a stored hash took less than one does now. Time is in proportion to the
    /// memory that all passes together go over (RFC 9106 §3.1.1: each pass fills all of it once).
    fn make_up_for(&self, stored: &PasswordHash, given: &[u8]) -> Result<(), PasswordError> {
        let passed_kib = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
        let took = Params::try_from(stored).map_err(PasswordError::Stored)?;
        let left = passed_kib(&self.params).saturating_sub(passed_kib(&took));
        let left_a_pass = left / u64::from(self.params.t_cost());
        let (passes, lanes) = (self.params.t_cost(), self.params.p_cost());
        let left = u32::try_from(left_a_pass).ok().map(|kib| Params::new(kib, passes, lanes, None));
        // Less than Argon2 takes is less than anybody can measure.
        let Some(Ok(left)) = left else { return Ok(()) };
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, left);
        let (salt, mut output) = ([0; Salt::RECOMMENDED_LENGTH], [0; Params::DEFAULT_OUTPUT_LEN]);
        argon2
            .hash_password_into(given, &salt, &mut output)
            .map_err(|error| PasswordError::Hash(error.into()))
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    fn is_outdated(&self, stored: &PasswordHash) -> bool {
        let Ok(params) = Params::try_from(stored) else { return true };
        stored.algorithm != ARGON2ID_IDENT
            || stored.version != Some(Version::V0x13.into())
            || params.m_cost() < self.params.m_cost()
            || params.t_cost() < self.params.t_cost()
            || params.p_cost() < self.params.p_cost()
    }
}

/// A stored hash that can be checked: without a salt or an output nothing would be computed, and
/// nothing would fit.
fn read(phc: &str) -> Result<PasswordHash, Error> {
    let stored = PasswordHash::new(phc)?;
    let params = Params::try_from(&stored)?;
    if params.m_cost() > MEMORY_KIB_MAX
        || params.t_cost() > PASSES_MAX
        || params.p_cost() > LANES_MAX
    {
        return Err(Error::ParamsInvalid);
    }
    match (&stored.salt, &stored.hash) {
        (Some(_), Some(_)) => Ok(stored),
        (None, _) | (_, None) => Err(Error::EncodingInvalid),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    const PASSWORD: &str = "correct horse battery";

    fn cost() -> Cost {
        Cost::new(config::Argon2::default()).unwrap()
    }

    fn phc(cost: &Cost) -> String {
        cost.hash(&NewPassword(PASSWORD.into())).unwrap()
    }

    fn phc_of(algorithm: Algorithm, version: Version, params: Params) -> String {
        let argon2 = Argon2::new(algorithm, version, params);
        let hash: PasswordHash = argon2.hash_password(PASSWORD.as_bytes()).unwrap();
        hash.to_string()
    }

    #[test]
    fn a_hash_verifies_its_password_and_names_its_cost() {
        let cost = cost();
        let (one, other) = (phc(&cost), phc(&cost));
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other, "each has a salt of its own");
        for phc in [&one, &other] {
            let verify = |password: &str| cost.verify(&password.into(), Some(phc)).unwrap();
            assert_eq!(verify(PASSWORD), Verified::Right { outdated: false });
            assert_eq!(verify("correct horse batterz"), Verified::Wrong);
        }
    }

    #[test]
    fn nobody_has_the_decoys_password_and_nobody_an_impossible_one() {
        let cost = cost();
        let stand_in = std::str::from_utf8(STAND_IN).unwrap();
        let phc = cost.hash(&NewPassword(stand_in.into())).unwrap();
        for password in ["", &"x".repeat(1_025), stand_in, PASSWORD] {
            assert_eq!(cost.verify(&password.into(), None).unwrap(), Verified::Wrong);
            let outcome = cost.verify(&password.into(), Some(&phc)).unwrap();
            assert_eq!(outcome != Verified::Wrong, password == stand_in, "{password}");
        }
    }

    /// The time of a core that a wrong password takes.
    fn spent(cost: &Cost, password: &str, phc: Option<&str>) -> Duration {
        let once = || {
            let cpu_time = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
            let before = cpu_time();
            assert_eq!(cost.verify(&password.into(), phc).unwrap(), Verified::Wrong);
            cpu_time().checked_sub(before).unwrap()
        };
        (0..3).map(|_| once()).min().unwrap()
    }

    #[test]
    fn no_account_and_no_password_cost_what_a_wrong_one_does() {
        let cost = cost();
        let phc = phc(&cost);
        let stored = PasswordHash::new(&phc).unwrap();
        let kind = |phc: &PasswordHash| (phc.algorithm, phc.version, phc.params.clone());
        assert_eq!(kind(&cost.decoy), kind(&stored));
        let wrong = spent(&cost, "correct horse batterz", Some(&phc));
        let long = "x".repeat(100_000);
        for (password, phc) in
            [(PASSWORD, None), ("", None), ("", Some(&*phc)), (&*long, Some(&*phc)), (&*long, None)]
        {
            let other = spent(&cost, password, phc);
            // A shared core is slower at times; hashing nothing would take a hundredth.
            assert!(other > wrong / 8 && other < wrong * 8, "{other:?} for {wrong:?}");
        }
    }

    #[test]
    fn a_wrong_password_costs_the_same_over_a_hash_from_before_a_raise() {
        let raised = config::Argon2 { iterations: 16, ..config::Argon2::default() };
        let (before, now) = (cost(), Cost::new(raised).unwrap());
        let phc = phc(&before);
        let unknown = spent(&now, PASSWORD, None);
        for password in ["correct horse batterz", ""] {
            // Without what is made up for, it is an eighth.
            let outdated = spent(&now, password, Some(&phc));
            assert!(outdated > unknown / 2 && outdated < unknown * 2, "{outdated:?} {unknown:?}");
        }
        let hash = spent(&before, "correct horse batterz", Some(&phc));
        assert!(hash < unknown / 2, "it costs what it did: {hash:?} {unknown:?}");
    }

    #[test]
    fn a_hash_that_cost_less_than_it_does_now_is_outdated() {
        let now = config::Argon2 { memory_kib: 1_024, iterations: 3, parallelism: 2 };
        let cost = Cost::new(now).unwrap();
        let params = |memory, passes, lanes| Params::new(memory, passes, lanes, None).unwrap();
        let (id, v13) = (Algorithm::Argon2id, Version::V0x13);
        for (phc, outdated) in [
            (phc_of(id, v13, params(1_024, 3, 2)), false),
            (phc_of(id, v13, params(2_048, 4, 3)), false),
            (phc_of(id, v13, params(1_023, 3, 2)), true),
            (phc_of(id, v13, params(1_024, 2, 2)), true),
            (phc_of(id, v13, params(1_024, 3, 1)), true),
            (phc_of(Algorithm::Argon2i, v13, params(1_024, 3, 2)), true),
            (phc_of(id, Version::V0x10, params(1_024, 3, 2)), true),
        ] {
            let verified = cost.verify(&PASSWORD.into(), Some(&phc)).unwrap();
            assert_eq!(verified, Verified::Right { outdated }, "{phc}");
        }
    }

    #[test]
    fn a_stored_hash_that_cant_be_read_is_an_error() {
        let cost = cost();
        let sound = phc(&cost);
        let without_output = sound.rsplit_once('$').unwrap().0;
        for phc in [
            "",
            "correct horse battery",
            "$2b$12$abcdefghijklmnopqrstuv",
            &sound.replace("argon2id", "scrypt"),
            &sound.replace("t=2", "t=0"),
            &sound.replace("t=2", "t=21"),
            &sound.replace("m=19456", "m=4294967295"),
            &sound.replace("v=19", "v=18"),
            without_output,
        ] {
            let outcome = cost.verify(&PASSWORD.into(), Some(phc));
            assert!(matches!(outcome, Err(PasswordError::Stored(_))), "{phc}: {outcome:?}");
        }
    }
}
