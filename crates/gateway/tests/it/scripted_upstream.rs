//! A model server that sends exact bytes in exact pieces, for what the demo model is too well
//! brought up to do. It keeps its connections open and remembers each request as it stood on the
//! wire; what it lists and how it answers is the test's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

/// The one model that it lists at first.
pub const MODEL: &str = "scripted";
/// What its kernel holds of an answer that nobody reads, so that back-pressure is soon felt.
const SEND_BUFFER_BYTES: u32 = 16 * 1024;
const BACKLOG: u32 = 4096;

/// What is done in answer to a request, one after the other. Afterwards the connection is kept.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// Waits until the test lets it go on, once for each permit.
    Gate(Arc<Semaphore>),
    Wait(Duration),
    /// Sends this again and again until nobody takes it any more.
    Endless(Vec<u8>),
    /// Closes the connection.
    Close,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the headers.
    pub head: String,
    pub body: Vec<u8>,
    /// Which of the server's connections it came on, counted from 1.
    pub connection: u64,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// Which dialects it admits to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    OpenAi,
    /// And so OpenAI's routes as well.
    Ollama,
}

type Script = dyn Fn(&Seen) -> Vec<Step> + Send + Sync;

/// See the module.
pub struct ScriptedUpstream {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    speaks: Speaks,
    script: Box<Script>,
    models: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicU64,
    sent_bytes: AtomicU64,
    cut_off: AtomicU64,
}

impl ScriptedUpstream {
    /// Starts one; it ends with the test's runtime.
    pub async fn start(
        speaks: Speaks,
        script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(BACKLOG).unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            speaks,
            script: Box::new(script),
            models: Mutex::new(vec![MODEL.to_owned()]),
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared }
    }

    /// One that answers every request alike.
    pub async fn always(speaks: Speaks, steps: Vec<Step>) -> Self {
        Self::start(speaks, move |_| steps.clone()).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Lists a further model from now on.
    pub fn list(&self, model: &str) {
        self.shared.models.lock().unwrap().push(model.to_owned());
    }

    /// The requests for work, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Endless answers whose connection was closed on them.
    pub fn cut_off(&self) -> u64 {
        self.shared.cut_off.load(Ordering::Relaxed)
    }

    /// Bytes that the kernel has taken of endless answers.
    pub fn sent_bytes(&self) -> u64 {
        self.shared.sent_bytes.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let mut read = Vec::new();
    while let Some(seen) = request(&mut stream, &mut read, connection).await {
        let steps = match listing(&shared, &seen) {
            Some(answer) => vec![Step::Send(answer)],
            None => {
                shared.seen.lock().unwrap().push(seen.clone());
                (shared.script)(&seen)
            }
        };
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Gate(gate) => gate.acquire().await.unwrap().forget(),
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Endless(bytes) => {
                    while stream.write_all(&bytes).await.is_ok() {
                        shared.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    }
                    shared.cut_off.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Step::Close => return,
            }
        }
    }
}

/// Reads one request whose body has a length, as the gateway sends it.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>, connection: u64) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read.drain(..head_end).collect()).unwrap();
    let mut seen = Seen { head, body: Vec::new(), connection };
    let length = seen.header("content-length").map_or(0, |text| text.parse().unwrap());
    while read.len() < length {
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = read.drain(..length).collect();
    Some(seen)
}

fn listing(shared: &Shared, seen: &Seen) -> Option<Vec<u8>> {
    let models = || shared.models.lock().unwrap().clone();
    let ollama = shared.speaks == Speaks::Ollama;
    let path = seen.path();
    let answer = if path.ends_with("/v1/models") {
        let data: Vec<_> = models().iter().map(|id| serde_json::json!({ "id": id })).collect();
        serde_json::json!({ "object": "list", "data": data })
    } else if path.ends_with("/api/version") && ollama {
        serde_json::json!({ "version": "0.9.0" })
    } else if path.ends_with("/api/tags") && ollama {
        let named: Vec<_> =
            models().iter().map(|name| serde_json::json!({ "name": name })).collect();
        serde_json::json!({ "models": named })
    } else if seen.head.starts_with("GET ") {
        return Some(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec());
    } else {
        return None;
    };
    Some(document(JSON, answer.to_string().as_bytes()))
}

pub const JSON: &str = "content-type: application/json";
pub const SSE: &str = "content-type: text/event-stream";
pub const NDJSON: &str = "content-type: application/x-ndjson";

/// A whole answer of 200.
pub fn document(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The head of an answer of 200 that comes in chunks.
pub fn stream_head(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes()
}

/// One chunk. hyper hands each on by itself, so a stream cut into chunks reaches us in exactly
/// those pieces, whatever the kernel does.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A whole answer of 200 that comes in these pieces.
pub fn in_pieces<'a>(headers: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut answer = stream_head(headers);
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        answer.extend_from_slice(&chunk(piece));
    }
    answer.extend_from_slice(LAST_CHUNK);
    answer
}
