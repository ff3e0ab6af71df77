//! Names that people give to things.

use fluxgate_core::Reason;
use fluxgate_core::text::is_printable;

use super::problem::Problem;

const CHARS_MAX: usize = 64;

/// # Errors
/// 400 for what can't be one.
pub fn check(name: &str) -> Result<(), Problem> {
    let length_fits = (1..=CHARS_MAX).contains(&name.chars().count());
    if length_fits && !name.trim().is_empty() && name.chars().all(is_printable) {
        return Ok(());
    }
    Err(Problem::new(Reason::InvalidRequest, "`name`: expected 1 to 64 printable characters."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_64_printable_characters() {
        for name in ["laptop", "Ada's key", "schlüssel", &"x".repeat(64)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "  ", "a\nb", "a\u{202e}b", "a\u{1b}[0m", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
