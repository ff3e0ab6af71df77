//! The limit of open files.

use tracing::warn;

/// Open files that a small installation gets along with: one for each side of each request.
const FEW_FILES: u64 = 4096;

/// Thousands of connections need thousands of files.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit to the hard one is always allowed; if not, the old one stays.
    let _ = setrlimit(Resource::Nofile, limit);
    if let Some(files) = limit.maximum.filter(|files| *files < FEW_FILES) {
        warn!(files, "the limit of open files is low: raise it with `ulimit -Hn`");
    }
}
