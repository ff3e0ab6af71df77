//! Binds the listeners, before anything is made or served.

use std::io;
use std::net::SocketAddr;

use fluxgate_core::config::Config;

use super::StartError;
use crate::config;
use crate::listen::ListenerKind;
use crate::listen::acceptor::{self, Bound};

/// Ports that are tried beyond the default where nobody chose one.
const PORTS_TRIED: u16 = 100;

/// All of them; one of `movable` takes the next free port where its own is in use.
///
/// # Errors
/// [`StartError::Listen`], with what to do about it.
pub fn bind_all(config: &Config, movable: &[ListenerKind]) -> Result<Vec<Bound>, StartError> {
    config::listeners(config)
        .map(|(kind, address)| bind(kind, address, movable.contains(&kind)))
        .collect()
}

fn bind(kind: ListenerKind, wanted: SocketAddr, movable: bool) -> Result<Bound, StartError> {
    let mut address = wanted;
    loop {
        let error = match acceptor::bind(kind, address) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        let next = address.port().checked_add(1).filter(|port| port - wanted.port() < PORTS_TRIED);
        match (error.kind(), next) {
            (io::ErrorKind::AddrInUse, Some(next)) if movable && wanted.port() != 0 => {
                address.set_port(next);
            }
            (problem, _) => {
                let advice = match problem {
                    io::ErrorKind::AddrInUse => {
                        "end the program that has it, or choose another port"
                    }
                    io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
                    io::ErrorKind::PermissionDenied => "choose a port from 1024 up",
                    _ => "choose another address",
                };
                let listener = kind.name();
                return Err(StartError::Listen {
                    listener,
                    address: wanted,
                    source: error,
                    advice,
                });
            }
        }
    }
}
