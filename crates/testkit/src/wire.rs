//! A client that sends the bytes it is given and shows what came back, byte by byte. It forgives
//! nothing and repairs nothing, so that a test sees what stood on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Nothing in a test takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the kernel holds for a client that reads slowly, about.
const NARROW_BYTES: u32 = 16 * 1024;

/// A whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    /// In their order, names in small letters.
    pub headers: Vec<(String, String)>,
    /// De-chunked.
    pub body: Vec<u8>,
    /// The body came to the end that its framing told.
    pub whole: bool,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Panics
    /// Where the body isn't JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A request's bytes; `content-length` is there wherever there is a body, or a POST.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Sends bytes on a connection of their own and reads the answer.
///
/// # Panics
/// Where no connection can be made, or no answer comes.
pub async fn ask(to: SocketAddr, request: &[u8]) -> Answer {
    let mut connection = Connection::open(to).await;
    connection.send(request).await;
    connection.answer().await
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// # Panics
    /// Where nobody listens.
    pub async fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("somebody listens");
        stream.set_nodelay(true).expect("the socket is alive");
        Self { stream, read: Vec::new() }
    }

    /// One whose kernel holds little of what isn't read.
    ///
    /// # Panics
    /// Where nobody listens.
    pub async fn open_narrow(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("the socket is alive");
        let stream = socket.connect(to).await.expect("somebody listens");
        Self { stream, read: Vec::new() }
    }

    /// Sends; a peer that has closed meanwhile is seen when reading.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads a whole answer.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer comes")
    }

    /// Reads a whole answer; `None` where the connection was closed without one.
    ///
    /// # Panics
    /// Where neither comes in time, or what comes isn't HTTP.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.try_head().await?;
        if matches!(answer.status, 204 | 304) {
            answer.whole = true;
            return Some(answer);
        }
        let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
        if chunked {
            loop {
                match self.chunk().await {
                    Some(chunk) if chunk.is_empty() => break answer.whole = true,
                    Some(chunk) => answer.body.extend_from_slice(&chunk),
                    None => break,
                }
            }
        } else if let Some(length) = length {
            while self.read.len() < length && self.fill().await {}
            answer.whole = self.read.len() >= length;
            answer.body = self.read.drain(..length.min(self.read.len())).collect();
        } else {
            while self.fill().await {}
            answer.whole = true;
            answer.body = std::mem::take(&mut self.read);
        }
        Some(answer)
    }

    /// Reads the head of an answer.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn head(&mut self) -> Answer {
        self.try_head().await.expect("an answer begins")
    }

    async fn try_head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status is a number");
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Answer { status, headers, body: Vec::new(), whole: false })
    }

    /// The next chunk of a chunked body, empty at its end; `None` where the connection ends first.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size_end = self.until(b"\r\n").await?;
        let line: Vec<u8> = self.read.drain(..size_end).collect();
        let digits = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(digits.trim(), 16).expect("a chunk begins with its size");
        while self.read.len() < size + 2 {
            if !self.fill().await {
                return None;
            }
        }
        let mut chunk: Vec<u8> = self.read.drain(..size + 2).collect();
        chunk.truncate(size);
        Some(chunk)
    }

    /// Waits until the other side has closed, and gives whether it did in time.
    pub async fn closed_within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, async { while self.fill().await {} }).await.is_ok()
    }

    /// The index behind the next occurrence of `mark`.
    async fn until(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|bytes| bytes == mark) {
                return Some(at + mark.len());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads more; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        match read.expect("an answer, or its rest, comes in time") {
            Ok(read) => read > 0,
            Err(_) => false,
        }
    }
}
