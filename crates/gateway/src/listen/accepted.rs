//! An accepted socket and its place in the count of connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fluxgate_core::subject::AddressPrefix;

use super::ListenerKind;

/// A socket on its way to a data thread. It is counted until it is dropped.
#[derive(Debug)]
pub struct Accepted {
    pub socket: std::net::TcpStream,
    pub peer: SocketAddr,
    pub kind: ListenerKind,
    pub place: Place,
}

/// Counts the open connections, in all and by address, and refuses those over a limit.
#[derive(Debug)]
pub struct ConnectionCount {
    open: AtomicUsize,
    by_address: Mutex<HashMap<AddressPrefix, usize>>,
    in_all_max: usize,
    per_address_max: usize,
}

impl ConnectionCount {
    #[must_use]
    pub fn new(in_all_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            by_address: Mutex::new(HashMap::new()),
            in_all_max,
            per_address_max,
        })
    }

    /// The connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place for a connection from `address`, or `None` where a limit is reached.
    #[must_use]
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.in_all_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let address = AddressPrefix::from(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let held = by_address.entry(address).or_insert(0);
        if *held >= self.per_address_max {
            drop(by_address);
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *held += 1;
        Some(Place { count: Arc::clone(self), address })
    }
}

/// A connection's place in the count, given back on drop.
#[derive(Debug)]
pub struct Place {
    count: Arc<ConnectionCount>,
    address: AddressPrefix,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.count.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = by_address.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_refused_at_either_limit_and_comes_back() {
        let count = ConnectionCount::new(3, 2);
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let there: IpAddr = "127.0.0.2".parse().unwrap();
        let first = count.admit(here).unwrap();
        let _second = count.admit(here).unwrap();
        assert!(count.admit(here).is_none(), "two from one address");
        let _third = count.admit(there).unwrap();
        assert!(count.admit(there).is_none(), "three in all");
        assert_eq!(count.open(), 3);
        drop(first);
        assert!(count.admit(here).is_some());
    }
}
