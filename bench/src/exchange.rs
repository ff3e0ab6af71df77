//! A client's side of one connection: a request goes out, its answer comes in. It must not know
//! what is measured.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use thiserror::Error;

use crate::wire::{self, Body, WireError};

/// What makes an exchange an error.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the connection was closed before the answer's end")]
    Short,
    #[error("bytes came behind the answer's end")]
    Surplus,
    #[error("status {0}")]
    Status(u16),
    #[error("the answer isn't what was asked for")]
    Content,
}

/// How far an answer is.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    More,
    Whole,
}

#[derive(Debug)]
pub struct Exchange {
    socket: TcpStream,
    written: usize,
    /// The beginning of a head that came in pieces.
    inbox: Vec<u8>,
    body: Option<Body>,
}

impl Exchange {
    /// Begins to connect; the socket becomes writable when it has.
    pub fn connect(to: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, written: 0, inbox: Vec::new(), body: None })
    }

    /// Whether connecting has come to its end; what was refused is an error.
    pub fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a request.
    pub fn begin(&mut self, request: &[u8]) -> io::Result<()> {
        self.written = 0;
        self.body = None;
        self.push(request)
    }

    /// Sends what is left of the same request.
    pub fn push(&mut self, request: &[u8]) -> io::Result<()> {
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(written) => self.written = self.written.saturating_add(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come, giving the content away, until the answer is whole or the socket empty.
    /// `closed` tells that the other side has closed: then a short read isn't the last.
    ///
    /// # Errors
    /// Where the answer isn't a whole 200.
    pub fn pull(
        &mut self,
        scratch: &mut [u8],
        closed: bool,
        mut content: impl FnMut(&[u8]),
    ) -> Result<Pulled, Fault> {
        loop {
            let room = scratch.len();
            let read = match self.socket.read(scratch) {
                Ok(0) if self.body.as_ref().is_some_and(Body::ends_with_close) => {
                    return Ok(Pulled::Whole);
                }
                Ok(0) => return Err(Fault::Short),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Pulled::More),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if self.take_in(scratch.get(..read).unwrap_or_default(), &mut content)? == Pulled::Whole
            {
                return Ok(Pulled::Whole);
            }
            // A short read emptied the socket; what comes later is an event of its own.
            if read < room && !closed {
                return Ok(Pulled::More);
            }
        }
    }

    fn take_in(&mut self, read: &[u8], content: &mut impl FnMut(&[u8])) -> Result<Pulled, Fault> {
        let joined: Vec<u8>;
        let mut data = read;
        if self.body.is_none() {
            if !self.inbox.is_empty() {
                self.inbox.extend_from_slice(data);
                joined = std::mem::take(&mut self.inbox);
                data = &joined;
            }
            let Some(head) = wire::response_head(data)? else {
                self.inbox = data.to_vec();
                return Ok(Pulled::More);
            };
            if head.status != 200 {
                return Err(Fault::Status(head.status));
            }
            self.body = Some(Body::new(head.framing));
            data = data.get(head.bytes..).unwrap_or_default();
        }
        let Some(body) = self.body.as_mut() else { return Ok(Pulled::More) };
        let used = body.feed(data, content)?;
        if !body.is_done() {
            return Ok(Pulled::More);
        }
        if used < data.len() { Err(Fault::Surplus) } else { Ok(Pulled::Whole) }
    }
}
