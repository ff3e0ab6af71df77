//! Where the installed servers are.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where programs lie that aren't in PATH: Debian keeps PostgreSQL's by version.
const VERSIONED: &str = "/usr/lib/postgresql";
const OTHERS: [&str; 3] = ["/usr/local/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin"];

/// The path of a program.
///
/// # Panics
/// Where it isn't installed: says which package brings it.
pub(super) fn find(program: &str, debian_package: &str) -> PathBuf {
    let in_path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&in_path)
        .chain(versioned())
        .chain(OTHERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    match found {
        // A link is left one: Debian's `redis-server` is a program of several names, and does what
        // the name says by which it is called.
        Some(path) => path,
        None => panic!(
            "`{program}` isn't installed, and this test starts its own server: \
             apt-get install {debian_package} (elsewhere: whatever package brings `{program}`)"
        ),
    }
}

/// A program that lies beside another one, else the one in PATH.
pub(super) fn beside(path: &Path, program: &str, debian_package: &str) -> PathBuf {
    // A link leads to the folder where the rest of the server lies.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let neighbour = path.with_file_name(program);
    if neighbour.is_file() { neighbour } else { find(program, debian_package) }
}

/// Debian's folders, the newest version first.
fn versioned() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(VERSIONED)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}
