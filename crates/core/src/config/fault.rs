//! What is wrong with a configuration.

use std::fmt;

use super::layer::Layer;
use super::path::Path;

/// One thing that is wrong: where, what would be right, and which layer brought it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The dotted path of the setting, or the file that can't be read.
    pub path: String,
    /// What is wrong and what would be right; never a secret's value.
    pub problem: String,
    /// `None` where nobody gave the setting.
    pub layer: Option<Layer>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)?;
        match &self.layer {
            Some(layer) => write!(f, " ({layer})"),
            None => Ok(()),
        }
    }
}

/// All that is wrong, one line each.
#[derive(Clone, Default, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(super) fn add(
        &mut self,
        path: impl fmt::Display,
        problem: impl Into<String>,
        layer: &Layer,
    ) {
        let layer = Some(layer.clone()).filter(|layer| *layer != Layer::Default);
        self.0.push(Fault { path: path.to_string(), problem: problem.into(), layer });
    }

    /// Something at or below this path is already known to be wrong: what follows from it is not
    /// worth a line of its own.
    pub(super) fn touch(&self, path: &Path) -> bool {
        let path = path.to_string();
        self.0.iter().any(|fault| {
            fault
                .path
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}
