//! The data folder: embedded stores, certificate, made secrets and the files that say where a
//! running program listens. It belongs to one user; what is written here is for that user alone.
//!
//! Nothing here knows what the files mean.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fluxgate_core::Secret;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Held by a running `fluxgate up`; its content is that process's id.
const LOCK_FILE: &str = "lock";
/// More than any file that is read whole here.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Letters and digits: a secret may stand in a header, a URL and a shell without quotes.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why the data folder can't be used: one line that says what and what to do.
#[derive(Debug, Error)]
pub enum DataFolderError {
    #[error("data folder {}: can't be made: {source}; choose another with FLUXGATE_DATA_DIR", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("data folder {}: can't be written: {source}; make it writable, or choose another with FLUXGATE_DATA_DIR", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("data folder {}: in use by another `fluxgate up`{holder}; stop it, or choose another with FLUXGATE_DATA_DIR", path.display())]
    Locked { path: PathBuf, holder: Holder },
    #[error("{}: can't be locked: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
}

/// Who holds a lock, as far as it says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

/// A folder that exists and can be written.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
}

/// Keeps every other `up` out of a folder until it is dropped.
#[derive(Debug)]
pub struct Lock {
    // The lock belongs to the open file, so it ends with the process in any case.
    _file: File,
}

/// The addresses of a running program; `None` where it has no such listener.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Ports {
    pub pid: u32,
    pub https: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub mcp: Option<SocketAddr>,
    pub web: Option<SocketAddr>,
    pub demo_model: Option<SocketAddr>,
}

impl DataFolder {
    /// Makes the folder where it is missing, for its owner alone, and tries to write to it.
    ///
    /// # Errors
    /// [`DataFolderError`] where it can't be made or written.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| DataFolderError::Create { path: path.to_owned(), source })?;
        let unwritable = |source| DataFolderError::Unwritable { path: path.to_owned(), source };
        // Absolute, so that whatever is derived from it doesn't depend on the working folder.
        let path = path.canonicalize().map_err(unwritable)?;
        let probe = path.join(format!(".write-test.{}", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(unwritable)?;
        Ok(Self { path })
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`DataFolderError::Locked`] where another process has it.
    pub fn lock(&self) -> Result<Lock, DataFolderError> {
        let path = self.file(LOCK_FILE);
        let failed = |source| DataFolderError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_text(&mut file).ok().and_then(|text| text.trim().parse().ok());
                return Err(DataFolderError::Locked {
                    path: self.path.clone(),
                    holder: Holder(holder),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock { _file: file })
    }

    /// The secret in the file of that name: made once with `chars` random letters and digits.
    ///
    /// # Errors
    /// The system's own; `InvalidData` where a kept one is shorter than that.
    pub fn secret(&self, name: &str, chars: usize) -> io::Result<Secret> {
        if let Some(kept) = self.kept_secret(name)? {
            if kept.expose().len() < chars {
                let problem = format!(
                    "it has less than {chars} characters: remove it, and a new one is made"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            return Ok(kept);
        }
        let mut random = rand::rng();
        let text: String = (0..chars)
            .filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())))
            .map(|byte| char::from(*byte))
            .collect();
        write_private(&self.file(name), format!("{text}\n").as_bytes())?;
        Ok(Secret::from(text))
    }

    /// The secret in the file of that name, where there is one.
    ///
    /// # Errors
    /// The system's own.
    pub fn kept_secret(&self, name: &str) -> io::Result<Option<Secret>> {
        kept_secret(&self.file(name))
    }

    /// Says where this process listens.
    ///
    /// # Errors
    /// The system's own.
    pub fn write_ports(&self, name: &str, ports: &Ports) -> io::Result<()> {
        let mut text = serde_json::to_vec(ports)?;
        text.push(b'\n');
        write_private(&self.file(name), &text)
    }

    /// Takes the file away where it is this process's; another's stays.
    ///
    /// # Errors
    /// The system's own.
    pub fn remove_ports(&self, name: &str) -> io::Result<()> {
        match self.read_ports(name)? {
            Some(ports) if ports.pid == std::process::id() => fs::remove_file(self.file(name)),
            _ => Ok(()),
        }
    }

    /// Where the program that wrote the file listens; `None` where there is none.
    ///
    /// # Errors
    /// The system's own; `InvalidData` where it isn't of that form.
    pub fn read_ports(&self, name: &str) -> io::Result<Option<Ports>> {
        read_ports(&self.file(name))
    }
}

/// As [`DataFolder::kept_secret`], for a folder that need not exist.
///
/// # Errors
/// The system's own.
pub fn kept_secret(path: &Path) -> io::Result<Option<Secret>> {
    Ok(read_if_there(path)?.map(|text| Secret::from(text.trim())))
}

/// As [`DataFolder::read_ports`], for a folder that need not exist.
///
/// # Errors
/// The system's own; `InvalidData` where it isn't of that form.
pub fn read_ports(path: &Path) -> io::Result<Option<Ports>> {
    let Some(text) = read_if_there(path)? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&text)?))
}

/// Writes a file that only its owner can read, as a whole or not at all: readers see the old one
/// or the new one, and the new one survives a crash.
///
/// # Errors
/// The system's own; the old file is as it was then.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let draft = folder.join(name);
    let written = write_new(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may not even exist; the first error is the one that counts.
        let _ = fs::remove_file(&draft);
    }
    written?;
    // The rename itself is only on the disk once the folder is.
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a crash left behind might have other rights.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match File::open(path) {
        Ok(mut file) => read_text(&mut file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_text(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}
