//! Where a request comes from: the other end of its socket, or, where that is a proxy of ours, the
//! address that it tells in `X-Forwarded-For`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whom a request is counted, limited and logged for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientAddr(pub IpAddr);

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ClientAddr {
    /// Each proxy adds whom it heard from at the right, and whatever stands further left may be
    /// the client's invention: the list is read from the right, for as long as the address reached
    /// is that of a trusted proxy. What can't be read ends it there.
    #[must_use]
    pub fn of_request(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
        let mut address = peer.to_canonical();
        if trusted.is_empty() {
            return Self(address);
        }
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut told = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while is_trusted(address)
            && let Some(further) = told.next().and_then(read)
        {
            address = further;
        }
        Self(address)
    }
}

/// An address, with a port or without.
fn read(told: &[u8]) -> Option<IpAddr> {
    let told = std::str::from_utf8(told.trim_ascii()).ok()?;
    let bare = told.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(told);
    let address = bare.parse().ok();
    address.or_else(|| Some(told.parse::<SocketAddr>().ok()?.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let headers = lines.iter().map(|line| (X_FORWARDED_FOR, line.parse().unwrap())).collect();
        ClientAddr::of_request(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_trusted_proxy_tells_the_client_and_nobody_else_does() {
        for (peer, lines, expected) in [
            ("10.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("192.0.2.1", vec!["192.0.2.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("::ffff:10.0.0.1", vec!["192.0.2.7"], "192.0.2.7"),
            ("fd00::1", vec!["2001:db8::7"], "2001:db8::7"),
        ] {
            assert_eq!(client(peer, &lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_list_is_read_from_the_right_past_trusted_proxies_alone() {
        for (lines, expected) in [
            (vec!["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
            (vec!["203.0.113.9, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            (vec!["203.0.113.9", "192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            (vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (vec!["192.0.2.7:4711"], "192.0.2.7"),
            (vec!["[2001:db8::7]:4711"], "2001:db8::7"),
            (vec!["[2001:db8::7]"], "2001:db8::7"),
            (vec!["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            (vec!["192.0.2.7,"], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &lines), expected, "{lines:?}");
        }
    }
}
