//! "Did you mean …?": the setting that an unknown name most resembles.

use super::path::{Path, Step};
use super::shape::Shape;

/// The known path that comes nearest to an unknown one: first a name beside the wrong step that
/// differs by a few letters, else the least deep setting of the same name in another section.
pub fn nearest(unknown: &Path) -> Option<Path> {
    let (known, parent, wrong) = known_part(unknown)?;
    let close = match wrong {
        Step::Key(name) => nearest_key(parent, name),
        Step::Index(_) => None,
    };
    if let Some(key) = close {
        let rest = unknown.steps().iter().skip(known.steps().len() + 1).cloned();
        let corrected = rest.fold(known.key(key), |path, step| path.then(step));
        return Some(if Shape::at(&corrected).is_some() { corrected } else { known.key(key) });
    }
    let same_name = |path: &Path| path.name() == unknown.name();
    let settings = Shape::leaves().into_iter().map(|(path, _)| path);
    settings.filter(same_name).min_by_key(|path| path.steps().len())
}

fn nearest_key(table: Shape, name: &str) -> Option<&'static String> {
    let tolerated = (name.len() / 3).clamp(1, 3);
    let distances =
        table.properties().map(|(key, _)| (distance(&name.to_ascii_lowercase(), key), key));
    let close = distances.filter(|(distance, _)| *distance <= tolerated).min();
    close.map(|(_, key)| key)
}

/// The steps that exist, the shape they lead to, and the first one that does not.
fn known_part(unknown: &Path) -> Option<(Path, Shape, &Step)> {
    let mut known = Path::default();
    let mut shape = Shape::root();
    for step in unknown.steps() {
        match shape.step(step) {
            Some(next) => {
                known = known.then(step.clone());
                shape = next;
            }
            None => return Some((known, shape, step)),
        }
    }
    None
}

/// The edits (Levenshtein) that turn one name into the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let change = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = change.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("idle_s", "idel_s"), 2);
    }

    #[test]
    fn a_misspelt_section_keeps_what_follows_it() {
        let nearest = |path| nearest(&Path::dotted(path)).map(|path| path.to_string());
        assert_eq!(nearest("listn.idle_s").as_deref(), Some("listen.idle_s"));
        assert_eq!(nearest("upstreams.0.api-key").as_deref(), Some("upstreams.0.api_key"));
        assert_eq!(nearest("body_bytes_max").as_deref(), Some("listen.body_bytes_max"));
        assert_eq!(nearest("telemetry"), None);
    }
}
