//! Binds an address and deals its connections to the data threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::ListenerKind;
use super::accepted::{Accepted, ConnectionCount};
use crate::worker::Workers;

/// Connections that the kernel may hold for us; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Connections to each listener that only operators and their programs reach.
const PRIVATE_CONNECTIONS_MAX: usize = 1024;
/// How long to wait where accepting fails because the process has no file to spare.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(50);

/// A bound address that doesn't accept yet.
#[derive(Debug)]
pub struct Bound {
    pub kind: ListenerKind,
    pub addr: SocketAddr,
    listener: TcpListener,
}

/// Binds `addr`. The port isn't shared (no `SO_REUSEPORT`): a second gateway must notice that it
/// is taken.
///
/// # Errors
/// The system's own: the port is in use, the address isn't ours, no permission.
pub fn bind(kind: ListenerKind, addr: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Linux: rebinds over connections in TIME_WAIT, never over a listener.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok(Bound { kind, addr: listener.local_addr()?, listener })
}

impl Bound {
    /// Accepts until `stop`, dealing each connection to the next data thread. `count` is that of
    /// the public listeners together; the others have their own, so that operators and probes get
    /// in however many places strangers hold.
    pub async fn accept(
        self,
        workers: Arc<Workers>,
        count: Arc<ConnectionCount>,
        stop: CancellationToken,
    ) {
        let count = if self.kind.serves_models() {
            count
        } else {
            ConnectionCount::new(PRIVATE_CONNECTIONS_MAX, PRIVATE_CONNECTIONS_MAX)
        };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.deal(socket, peer, &workers, &count),
                Err(error) if is_connection_error(&error) => {
                    debug!(%error, "a client left before it was accepted");
                }
                Err(error) => {
                    warn!(%error, listener = self.kind.name(), "can't accept a connection");
                    tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
                }
            }
        }
    }

    fn deal(
        &self,
        socket: tokio::net::TcpStream,
        peer: SocketAddr,
        workers: &Workers,
        count: &Arc<ConnectionCount>,
    ) {
        let Some(place) = count.admit(peer.ip()) else {
            debug!(%peer, "connection closed: too many are open");
            return;
        };
        // Without it small answers wait 40 ms for the other side's delayed acknowledgement.
        let handed = socket.set_nodelay(true).and_then(|()| socket.into_std());
        match handed {
            Ok(socket) => workers.serve(Accepted { socket, peer, kind: self.kind, place }),
            Err(error) => debug!(%error, "the accepted socket is dead"),
        }
    }
}

fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
