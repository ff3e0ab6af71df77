//! Reads all layers, judges the result, and keeps where everything came from.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::fault::Faults;
use super::layer::{Layer, Origins, Sources};
use super::reading::Reading;
use super::rules::Judged;
use super::show::{self, Shown};
use super::{Config, check, environment, file, flags};

/// The program that is configured: it decides what is required, and a few defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// `fluxgate up`: needs nothing, listens on loopback.
    Up,
    /// `gateway`: a replica of production.
    Gateway,
}

/// A configuration without faults.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    pub config: Config,
    pub origin: Origins,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Someone chose it: it isn't the default.
    #[must_use]
    pub fn chosen(&self, path: &str) -> bool {
        *self.origin.of(path) != Layer::Default
    }

    /// Every setting with its value, secrets masked, and the layer that won.
    #[must_use]
    pub fn show(&self) -> Shown {
        show::shown(&self.config, &self.origin)
    }
}

/// Reads the configuration: defaults, then the file, then the environment, then flags.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(sources: &Sources, program: Program) -> Result<Loaded, Faults> {
    let mut reading = Reading::default();
    let file = file::locate(sources);
    let file_is_known = file.as_deref().is_none_or(|path| file::read(path, &mut reading));
    environment::read(&sources.env, &mut reading);
    flags::read(&sources.flags, &mut reading);
    check::settings(&mut reading);

    let Reading { leaves, mut faults } = reading;
    let origin = Origins::new(&leaves);
    let config = match serde_path_to_error::deserialize::<_, Config>(leaves.tree()) {
        Ok(config) => with_defaults_of(program, config, &origin),
        Err(error) => {
            // The checks let nothing through that the types refuse; the cause could quote a secret.
            let path = error.path().to_string();
            faults.add(&path, "this value can't be used", origin.of(&path));
            return Err(faults);
        }
    };
    if file_is_known {
        Judged { config: &config, leaves: &leaves, origins: &origin, program, faults: &mut faults }
            .judge();
    }
    if faults.0.is_empty() { Ok(Loaded { config, origin, file }) } else { Err(faults) }
}

/// `Config::default` is the gateway's.
fn with_defaults_of(program: Program, mut config: Config, origin: &Origins) -> Config {
    if program == Program::Up {
        let default = |path, address: &mut Option<SocketAddr>, port| {
            if *origin.of(path) == Layer::Default {
                *address = Some((Ipv4Addr::LOCALHOST, port).into());
            }
        };
        default("listen.https", &mut config.listen.https, 8443);
        default("listen.web", &mut config.listen.web, 3000);
    }
    config
}
