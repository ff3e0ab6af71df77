//! A TCP proxy of a test's own that breaks connections on demand: it stands between two programs
//! and lets bytes pass, hold still, or end in the middle.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Pass,
    /// Connections stay open and are still taken; nothing passes in either direction.
    Freeze,
    /// Open connections are reset, and so is every new one.
    Reset,
}

/// See the module. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    pub addr: SocketAddr,
    mode: watch::Sender<Mode>,
    passed_bytes: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`.
    ///
    /// # Panics
    /// Where no port can be bound.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let (mode, modes) = watch::channel(Mode::Pass);
        let passed_bytes = Arc::new(AtomicU64::new(0));
        let passed = Arc::clone(&passed_bytes);
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pair(client, target, modes.clone(), Arc::clone(&passed)));
            }
        });
        Self { addr, mode, passed_bytes, accepting }
    }

    /// Changes what happens from now on, to open connections too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Bytes that have come back from the target.
    #[must_use]
    pub fn answered_bytes(&self) -> u64 {
        self.passed_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pair(
    client: TcpStream,
    target: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    answered: Arc<AtomicU64>,
) {
    let reset = |stream: &TcpStream| {
        // The connection ends either way; without it, it ends in order.
        let _ = stream.set_zero_linger();
    };
    if *modes.borrow() == Mode::Reset {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(target).await else { return reset(&client) };
    let (nodelay, _) = (client.set_nodelay(true), server.set_nodelay(true));
    if nodelay.is_err() {
        return;
    }
    let (mut client, mut server) = (client, server);
    {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = copy(&mut from_client, &mut to_server, modes.clone(), None);
        let down = copy(&mut from_server, &mut to_client, modes.clone(), Some(&answered));
        tokio::select! {
            _ = up => {}
            _ = down => {}
            _ = modes.wait_for(|mode| *mode == Mode::Reset) => {}
        }
    }
    if *modes.borrow() == Mode::Reset {
        reset(&client);
        reset(&server);
    }
}

/// Copies to the end, standing still while frozen. The end of one direction ends the pair.
async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut modes: watch::Receiver<Mode>,
    count: Option<&AtomicU64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if modes.wait_for(|mode| *mode != Mode::Freeze).await.is_err() {
            return;
        }
        if let Some(count) = count {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
