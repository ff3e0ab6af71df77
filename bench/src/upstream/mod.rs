//! The mock model server: one thread, one event loop, nothing allocated per chunk, so that it takes
//! less of its core than any contender takes of theirs. It must not know who asks.
//! It speaks OpenAI's chat and Responses and Anthropic's Messages, each at its path.
//!
//! A stream keeps its schedule: where the server is late, the frames that are due go out in one
//! write, each an HTTP chunk of its own. What a slow reader doesn't take is never made.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use slab::Slab;

mod answer;
mod asked;
mod connection;
mod pacer;
mod words;

use crate::clock::now_ns;
pub use answer::STAMP_BASE;
use connection::{Connection, Turn};
use pacer::Pacer;

const LISTENER: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);
/// Wakes no more often than this: frames due within it go out together.
const TICK_NS: u64 = 50_000;
/// Shared by all connections: the most that one read takes.
const READ_BYTES: usize = 256 * 1024;
/// Far above the 5,000 streams that are measured.
const CONNECTIONS_MAX: usize = 16_384;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
}

/// Serves until the process is ended; the address goes to stdout, as JSON, once it listens.
pub fn run(args: &Args) -> Result<()> {
    let mut server = Server::bind(args.addr)?;
    println!("{{\"listen\":\"{}\"}}", server.listener.local_addr()?);
    loop {
        server.turn()?;
    }
}

/// A server that runs as long as the tests do.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub fn serve_in_background() -> SocketAddr {
    let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = server.listener.local_addr().unwrap();
    std::thread::spawn(move || while server.turn().is_ok() {});
    addr
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    timer: OwnedFd,
    connections: Slab<Connection>,
    pacer: Pacer,
    scratch: Vec<u8>,
    events: Events,
}

impl Server {
    fn bind(addr: SocketAddr) -> Result<Self> {
        let poll = Poll::new()?;
        let mut listener =
            TcpListener::bind(addr).with_context(|| format!("can't listen on {addr}"))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            timer,
            connections: Slab::new(),
            pacer: Pacer::default(),
            scratch: vec![0; READ_BYTES],
            events: Events::with_capacity(1024),
        })
    }

    /// Waits for something and serves it.
    fn turn(&mut self) -> Result<()> {
        let timeout = match self.pacer.next() {
            Some(due) if due <= now_ns() => Some(std::time::Duration::ZERO),
            Some(due) => {
                self.arm(due)?;
                None
            }
            None => None,
        };
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                // Armed anew before each wait, which also makes it unreadable.
                TIMER => {}
                Token(index) => {
                    let Some(connection) = self.connections.get_mut(index) else { continue };
                    let turn = connection.ready(event, &mut self.scratch);
                    self.after(index, turn);
                }
            }
        }
        self.events = events;
        let now = now_ns();
        while let Some((index, serial)) = self.pacer.pop(now + TICK_NS) {
            let Some(connection) =
                self.connections.get_mut(index).filter(|one| one.serial() == serial)
            else {
                continue;
            };
            let turn = connection.due(now);
            self.after(index, turn);
        }
        Ok(())
    }

    fn after(&mut self, index: usize, turn: io::Result<Turn>) {
        match turn {
            Ok(Turn::Wait) => {}
            Ok(Turn::Due(due)) => {
                if let Some(connection) = self.connections.get(index) {
                    self.pacer.push(due, index, connection.serial());
                }
            }
            // Closed by the other side, in order or not: the stream is over.
            Ok(Turn::Close) | Err(_) => {
                self.connections.try_remove(index);
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) if self.connections.len() < CONNECTIONS_MAX => {
                    stream.set_nodelay(true)?;
                    let entry = self.connections.vacant_entry();
                    self.poll.registry().register(
                        &mut stream,
                        Token(entry.key()),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    entry.insert(Connection::new(stream));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error).context("can't accept"),
            }
        }
    }

    fn arm(&self, due_ns: u64) -> Result<()> {
        let due = due_ns.max(now_ns() + TICK_NS);
        let at = Timespec {
            tv_sec: i64::try_from(due / 1_000_000_000)?,
            tv_nsec: i64::try_from(due % 1_000_000_000)?,
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}
