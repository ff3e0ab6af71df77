//! Where a setting's value came from, and what there is to read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::leaves::Leaves;
use super::path::Path;

/// What the configuration is read from. Nothing else is looked at.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file that was asked for; else `FLUXGATE_CONFIG`, else `fluxgate.toml` where it exists.
    pub file: Option<PathBuf>,
    /// The environment: names and values.
    pub env: Vec<(String, String)>,
    /// Settings given on the command line: dotted paths and values, in their order.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The environment of this process, with the given file and flags.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file, env, flags }
    }
}

/// Names alone: the values may be secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &names(&self.env))
            .field("flags", &names(&self.flags))
            .finish()
    }
}

/// One of the places a value can come from; a later one wins over an earlier one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Layer {
    /// Nobody chose it.
    Default,
    /// The file, and the line in it.
    File { path: PathBuf, line: usize },
    /// The environment variable.
    Env(String),
    /// The content of the file that the variable names.
    EnvFile(String, PathBuf),
    /// The command line.
    Flag,
}

impl Layer {
    /// A stable name for programs that read `config show`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Env(_) => "env",
            Self::EnvFile(..) => "env_file",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::EnvFile(name, path) => write!(f, "environment {name}, file {}", path.display()),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// The layer that each given setting came from, by dotted path.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Origins(BTreeMap<Path, Layer>);

impl Origins {
    pub(super) fn new(leaves: &Leaves) -> Self {
        Self(leaves.iter().map(|(path, leaf)| (path.clone(), leaf.layer.clone())).collect())
    }

    /// Where the setting at this path came from; a key that is more than a name stands in quotes in
    /// it: `models."llama3.1*".alias_of`. For a section or a list whose items were given
    /// one by one it is where the first of them came from.
    #[must_use]
    pub fn of(&self, path: &str) -> &Layer {
        self.at(&Path::dotted(path))
    }

    pub(super) fn at(&self, path: &Path) -> &Layer {
        let below =
            self.0.range(path.clone()..).next().filter(|(given, _)| given.starts_with(path));
        below.map_or(&Layer::Default, |(_, layer)| layer)
    }
}
