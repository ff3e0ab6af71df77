//! One connection to the mock server: a request is read, its answer written, a stream paced.

use std::io::{self, Read, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mio::event::Event;
use mio::net::TcpStream;

use super::answer::{Answer, Answers};
use super::asked::{Asked, Pace, Search};
use crate::clock::now_ns;
use crate::wire::{self, Body, RequestHead};

/// A busy stream's frames in one write, about 28 KB: the reader is then the slower side.
const BUSY_BATCH: u64 = 128;
/// What a late stream sends in one write.
const LATE_BATCH: u64 = 256;

const MODELS: &str = "/v1/models";

static ANSWERS: LazyLock<Answers> = LazyLock::new(Answers::new);
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// What the connection wants next.
#[derive(Debug)]
pub enum Turn {
    /// Something from the socket.
    Wait,
    /// To be called at this time.
    Due(u64),
    Close,
}

#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// The beginning of a head that came in pieces.
    inbox: Vec<u8>,
    body: Option<Body>,
    search: Search,
    route: Route,
    out: Vec<u8>,
    written: usize,
    stream: Option<Stream>,
    serial: u64,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
enum Route {
    Models,
    /// To a model, in the dialect of this answer.
    Model(&'static Answer),
    Unknown,
}

#[derive(Debug)]
struct Stream {
    answer: &'static Answer,
    pace: Pace,
    usage: bool,
    sent: u64,
    due_ns: u64,
}

impl Connection {
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            inbox: Vec::new(),
            body: None,
            search: Search::default(),
            route: Route::Unknown,
            out: Vec::new(),
            written: 0,
            stream: None,
            serial: 0,
        }
    }

    /// Changes with each stream.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The socket can be read or written.
    pub fn ready(&mut self, event: &Event, scratch: &mut [u8]) -> io::Result<Turn> {
        let mut turn = Turn::Wait;
        if event.is_writable() && self.written < self.out.len() && self.flush()? {
            turn = self.next_due();
        }
        if event.is_readable() || event.is_read_closed() {
            loop {
                let room = scratch.len();
                let read = match self.socket.read(scratch) {
                    Ok(0) => return Ok(Turn::Close),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                if let Some(next) = self.take_in(scratch.get(..read).unwrap_or_default())? {
                    turn = next;
                }
                // A short read emptied the socket; what comes later is an event of its own.
                if read < room && !event.is_read_closed() {
                    break;
                }
            }
        }
        Ok(turn)
    }

    /// A frame is due.
    pub fn due(&mut self, now: u64) -> io::Result<Turn> {
        let Some(stream) = self.stream.as_mut() else { return Ok(Turn::Wait) };
        if self.written < self.out.len() {
            return Ok(Turn::Wait);
        }
        let left = stream.pace.chunks.saturating_sub(stream.sent);
        let frames = match stream.pace.interval_ns {
            0 => BUSY_BATCH,
            interval => {
                (now.saturating_sub(stream.due_ns) / interval).saturating_add(1).min(LATE_BATCH)
            }
        }
        .min(left);
        let stamp = now_ns();
        for _ in 0..frames {
            stream.answer.push_frame(&mut self.out, stamp);
        }
        stream.sent = stream.sent.saturating_add(frames);
        stream.due_ns =
            stream.due_ns.saturating_add(frames.saturating_mul(stream.pace.interval_ns));
        if stream.sent >= stream.pace.chunks {
            stream.answer.push_end(&mut self.out, stream.sent, stream.usage);
            self.stream = None;
        }
        if self.flush()? { Ok(self.next_due()) } else { Ok(Turn::Wait) }
    }

    fn next_due(&self) -> Turn {
        self.stream.as_ref().map_or(Turn::Wait, |stream| Turn::Due(stream.due_ns))
    }

    /// Reads on in a request; where it became whole, answers it.
    fn take_in(&mut self, read: &[u8]) -> io::Result<Option<Turn>> {
        let joined: Vec<u8>;
        let mut data = read;
        if self.body.is_none() {
            if !self.inbox.is_empty() {
                self.inbox.extend_from_slice(data);
                joined = std::mem::take(&mut self.inbox);
                data = &joined;
            }
            let Some(head) = wire::request_head(data).map_err(io::Error::other)? else {
                self.inbox = data.to_vec();
                return Ok(None);
            };
            self.body = Some(Body::new(head.framing));
            self.route = Route::of(&head);
            data = data.get(head.bytes..).unwrap_or_default();
        }
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        let search = &mut self.search;
        let used = body.feed(data, |content| search.feed(content)).map_err(io::Error::other)?;
        if !body.is_done() {
            return Ok(None);
        }
        self.body = None;
        self.inbox.extend_from_slice(data.get(used..).unwrap_or_default());
        self.answer().map(Some)
    }

    fn answer(&mut self) -> io::Result<Turn> {
        let whole = match (self.route, self.search.take()) {
            (Route::Models, _) => &ANSWERS.models,
            (Route::Model(answer), Asked::Json) => &answer.whole,
            (Route::Model(answer), Asked::Stream { pace, usage }) => {
                return self.begin(answer, pace, usage);
            }
            (Route::Model(_), Asked::Unknown) | (Route::Unknown, _) => &ANSWERS.unknown,
        };
        self.out.extend_from_slice(whole);
        self.flush()?;
        Ok(Turn::Wait)
    }

    /// The head and what comes before the first token go out by themselves, as from a real server: a
    /// proxy that delays a second small write shows it here.
    fn begin(&mut self, answer: &'static Answer, pace: Pace, usage: bool) -> io::Result<Turn> {
        self.serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        self.out.extend_from_slice(&answer.opening);
        let now = now_ns();
        // From the second frame on, streams that began together are spread over the interval.
        let phase =
            (self.serial.wrapping_mul(0x9e37_79b9) & 0xffff).saturating_mul(pace.interval_ns) >> 16;
        self.stream = Some(Stream { answer, pace, usage, sent: 0, due_ns: now });
        if !self.flush()? {
            return Ok(Turn::Wait);
        }
        let turn = self.due(now)?;
        if let Some(stream) = self.stream.as_mut() {
            stream.due_ns = now.saturating_add(phase);
        }
        Ok(if matches!(turn, Turn::Due(_)) { self.next_due() } else { turn })
    }

    /// Writes what waits; false where the socket took only part of it.
    fn flush(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(written) => self.written = self.written.saturating_add(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }
}

impl Route {
    fn of(head: &RequestHead<'_>) -> Self {
        if head.get {
            return if head.path == MODELS { Self::Models } else { Self::Unknown };
        }
        ANSWERS.at(head.path).map_or(Self::Unknown, Self::Model)
    }
}
