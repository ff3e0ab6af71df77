//! The last layer: settings given on the command line.

use super::layer::Layer;
use super::path::Path;
use super::reading::Reading;
use super::shape::Shape;

/// Reads dotted paths and their values; of two for one setting the later one counts.
pub fn read(flags: &[(String, String)], reading: &mut Reading) {
    for (path, text) in flags {
        let path = Path::dotted(path);
        match Shape::find(&path) {
            Some((path, shape)) => reading.text(path, text, shape, &Layer::Flag),
            None => reading.unknown(&path, &Layer::Flag),
        }
    }
}
