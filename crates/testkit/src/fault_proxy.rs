//! A TCP proxy of a test's own that breaks connections on demand: it stands between two programs
//! and lets bytes pass, hold still, come late, or end in the middle. It knows no protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// What one read takes at most: small enough that a delay or a freeze falls inside an answer.
const PIECE_BYTES: usize = 16 * 1024;
/// A reset throws away what the system has not sent yet; an acknowledgement may come 40 ms late.
const LAST_BYTES_TAKE: Duration = Duration::from_millis(60);

/// What happens to the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Pass,
    /// Connections stay open and are still taken; nothing passes in either direction.
    Freeze,
    /// Open connections are reset, and so is every new one.
    Reset,
    /// Every piece comes so much later, in either direction.
    Delay(Duration),
    /// Each connection is reset once so many bytes have come back through it in this mode.
    Cut {
        after_bytes: u64,
    },
}

/// See the module. Dropped, it ends with all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    /// Where clients connect; the same as long as it lives.
    pub addr: SocketAddr,
    target: SocketAddr,
    mode: watch::Sender<Mode>,
    answered_bytes: Arc<AtomicU64>,
    door: Door,
}

/// Where new connections arrive.
#[derive(Debug)]
enum Door {
    Open(JoinHandle<()>),
    /// Bound, so that nobody else takes the port, but not listening: the system refuses.
    Shut(TcpSocket),
    /// Between the two.
    Moving,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`.
    ///
    /// # Panics
    /// Where no port can be bound.
    pub async fn start(target: SocketAddr) -> Self {
        let socket = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let addr = socket.local_addr().expect("a bound socket has an address");
        let (mode, _) = watch::channel(Mode::Pass);
        let door = Door::Shut(socket);
        let mut proxy = Self { addr, target, mode, answered_bytes: Arc::default(), door };
        proxy.accept();
        proxy
    }

    /// Changes what happens from now on, to open connections too.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Refuses new connections; open ones go on.
    ///
    /// # Panics
    /// Where somebody takes the port in the moment between.
    pub async fn refuse(&mut self) {
        match std::mem::replace(&mut self.door, Door::Moving) {
            Door::Open(accepting) => {
                accepting.abort();
                // Its end closes the listening socket; an aborted task has no other result.
                let _ = accepting.await;
                self.door = Door::Shut(bound(self.addr));
            }
            shut => self.door = shut,
        }
    }

    /// Undoes [`Self::refuse`].
    ///
    /// # Panics
    /// Where the port can't be listened on.
    pub fn accept(&mut self) {
        self.door = match std::mem::replace(&mut self.door, Door::Moving) {
            Door::Shut(socket) => {
                let listener = socket.listen(BACKLOG).expect("a bound socket can listen");
                let (modes, answered) = (self.mode.subscribe(), Arc::clone(&self.answered_bytes));
                Door::Open(tokio::spawn(accept_all(listener, self.target, modes, answered)))
            }
            open => open,
        };
    }

    /// Bytes that have come back from the target, over all connections.
    #[must_use]
    pub fn answered_bytes(&self) -> u64 {
        self.answered_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Door::Open(accepting) = &self.door {
            accepting.abort();
        }
    }
}

fn bound(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("the system gives a socket");
    // Connections of before still stand on the port.
    socket.set_reuseaddr(true).expect("every system knows the option");
    socket.bind(addr).expect("the port is free");
    socket
}

async fn accept_all(
    listener: TcpListener,
    target: SocketAddr,
    modes: watch::Receiver<Mode>,
    answered: Arc<AtomicU64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        // Not owned by this task: open connections go on while new ones are refused. Each ends by
        // itself, and at the latest with the proxy, whose end closes `modes`.
        tokio::spawn(serve(client, target, modes.clone(), Arc::clone(&answered)));
    }
}

/// One connection from its first byte to its end.
async fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    answered: Arc<AtomicU64>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else { return reset(&client) };
    // Without it pieces come later, never wrong.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let whole = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = carry(from_client, to_server, modes.clone(), None);
        let back = carry(from_server, to_client, modes.clone(), Some(&answered));
        tokio::select! {
            // First: a mode that was set before the bytes came concerns them.
            biased;
            // An error says that the proxy is gone.
            _ = modes.wait_for(|mode| *mode == Mode::Reset) => false,
            both = async { tokio::try_join!(there, back) } => both.is_ok(),
        }
    };
    if !whole {
        reset(&client);
        reset(&server);
    }
}

/// Carries one direction to its end. A cut, and a side that is gone, are errors.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut modes: watch::Receiver<Mode>,
    answered: Option<&AtomicU64>,
) -> io::Result<()> {
    let ended = || io::Error::from(io::ErrorKind::ConnectionReset);
    let mut piece = vec![0; PIECE_BYTES];
    let (mut counted_in, mut passed_in_mode) = (Mode::Pass, 0);
    loop {
        let read = from.read(&mut piece).await?;
        let mut mode = unfrozen(&mut modes).await.ok_or_else(ended)?;
        if read == 0 {
            return to.shutdown().await;
        }
        if let Mode::Delay(delay) = mode {
            tokio::time::sleep(delay).await;
            mode = unfrozen(&mut modes).await.ok_or_else(ended)?;
        }
        if mode != counted_in {
            (counted_in, passed_in_mode) = (mode, 0);
        }
        let left = match (mode, answered) {
            (Mode::Cut { after_bytes }, Some(_)) => {
                usize::try_from(after_bytes.saturating_sub(passed_in_mode)).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        let passed = read.min(left);
        to.write_all(&piece[..passed]).await?;
        passed_in_mode += passed as u64;
        if let Some(answered) = answered {
            answered.fetch_add(passed as u64, Ordering::Relaxed);
        }
        if passed == left {
            tokio::time::sleep(LAST_BYTES_TAKE).await;
            return Err(ended());
        }
    }
}

/// The mode, once it isn't [`Mode::Freeze`]; `None` where the proxy is gone.
async fn unfrozen(modes: &mut watch::Receiver<Mode>) -> Option<Mode> {
    modes.wait_for(|mode| *mode != Mode::Freeze).await.ok().map(|mode| *mode)
}

/// Ends a connection with RST instead of FIN, once it is dropped.
fn reset(stream: &TcpStream) {
    // One that is gone needs none.
    let _ = stream.set_zero_linger();
}
