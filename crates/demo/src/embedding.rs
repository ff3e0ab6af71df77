//! Embeddings: unit vectors made by hashing a text's tokens, so texts that share words lie close.
//! Knows no dialect.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::ask::{FNV_START, fnv};
use crate::tokens;

/// Length of a vector where none is asked for.
pub(crate) const DIMENSIONS: usize = 64;
/// Longest vector that can be asked for.
pub(crate) const DIMENSIONS_MAX: i64 = 4096;
/// A vector is made of that many tokens at most; all of them are counted.
const TOKENS_READ_MAX: usize = 8192;

/// What is embedded: a text, or the tokens of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Text(String),
    Tokens(Vec<u64>),
}

impl Input {
    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Text(text) => tokens::count(text),
            Self::Tokens(tokens) => tokens.len() as u64,
        }
    }

    /// The unit vector.
    pub(crate) fn vector(&self, dimensions: usize) -> Vec<f32> {
        let mut sums = vec![0.0; dimensions];
        match self {
            Self::Text(text) => {
                for piece in tokens::pieces(text).take(TOKENS_READ_MAX) {
                    add(&mut sums, fnv(FNV_START, piece.trim().to_lowercase().as_bytes()));
                }
            }
            Self::Tokens(tokens) => {
                for token in tokens.iter().take(TOKENS_READ_MAX) {
                    add(&mut sums, fnv(FNV_START, &token.to_le_bytes()));
                }
            }
        }
        let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        // Nothing to embed, or opposite directions that cancel out: any fixed unit vector will do.
        if length == 0.0 {
            return (0..dimensions).map(|at| if at == 0 { 1.0 } else { 0.0 }).collect();
        }
        sums.iter().map(|sum| (sum / length) as f32).collect()
    }
}

/// Adds the direction that a hash stands for.
fn add(sums: &mut [f64], hash: u64) {
    // Xorshift has one fixed point, zero.
    let mut state = hash | 1;
    for sum in sums {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *sum += (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
    }
}

/// The vector as OpenAI's clients ask for it: little-endian floats of 32 bits, in base64.
pub(crate) fn base64(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str, dimensions: usize) -> Vec<f32> {
        Input::Text(text.to_owned()).vector(dimensions)
    }

    fn cosine(left: &[f32], right: &[f32]) -> f32 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn a_vector_has_length_one_and_is_always_the_same() {
        for (text, dimensions) in [("hello world", 64), ("x", 1), ("", 8), ("日本語", 4096)] {
            let made = vector(text, dimensions);
            assert_eq!(made.len(), dimensions);
            assert!((cosine(&made, &made) - 1.0).abs() < 1e-4, "{text}");
            assert_eq!(made, vector(text, dimensions));
        }
        let tokens = Input::Tokens(vec![1, 2, 3]);
        assert!((cosine(&tokens.vector(64), &tokens.vector(64)) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn texts_that_share_words_lie_closer() {
        let cats = vector("the cat sleeps on the warm roof", 256);
        let near = cosine(&cats, &vector("a cat sleeps on a roof", 256));
        let far = cosine(&cats, &vector("quarterly revenue grew eight percent", 256));
        assert!(near > far + 0.2, "{near} {far}");
    }
}
