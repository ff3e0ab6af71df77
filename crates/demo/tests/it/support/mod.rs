//! A client that reads what is on the wire: the demo model's misbehaviour would be hidden by a better one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fluxgate_demo::{DemoConfig, DemoModel, Pace, Stats};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing here takes that long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

pub struct Demo {
    pub addr: SocketAddr,
    pub stats: Arc<Stats>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// A demo model at full speed.
pub async fn demo() -> Demo {
    demo_with(DemoConfig::default()).await
}

/// The same, misbehaving on every model request.
pub async fn demo_that(behaviour: &str) -> Demo {
    demo_with(DemoConfig { behaviour: behaviour.parse().unwrap(), ..DemoConfig::default() }).await
}

pub async fn demo_with(config: DemoConfig) -> Demo {
    let pace = if config.pace == Pace::default() { Pace::NONE } else { config.pace };
    let model = DemoModel::bind(DemoConfig { pace, ..config }).await.unwrap();
    let (addr, stats) = (model.local_addr(), model.stats());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(model.serve(async {
        let _ = stopped.await;
    }));
    Demo { addr, stats, stop: Some(stop), serving }
}

/// The body with more members, or others.
pub fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl Demo {
    /// A document that answers the body.
    pub async fn whole(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        answer.json()
    }

    /// The named events that answer the body, asked for as a stream.
    pub async fn stream(&self, path: &str, body: Value) -> Vec<Value> {
        let answer = self.post(path, with(body, json!({"stream": true}))).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/event-stream"))
        );
        answer.named_events()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    pub async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        within(async {
            let mut client = Client::to(self.addr).await;
            client.send(method, path, body).await;
            client.answer().await
        })
        .await
    }

    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        within(self.serving).await.unwrap();
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The connection was closed before the end.
    Closed,
    /// The connection was reset before the end.
    Reset,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// As the chunks of the transfer coding came; one, where there is a length.
    pub chunks: Vec<Vec<u8>>,
    pub end: End,
}

impl Answer {
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The `data` of each SSE event, and that nothing else is there.
    pub fn events(&self) -> Vec<String> {
        let text = self.text();
        let text = text.strip_suffix("\n\n").expect("a stream ends in an empty line");
        text.split("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
    }

    /// The JSON of each event; the last one was `[DONE]`.
    pub fn event_values(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    /// The JSON of each named event, whose name is its `type` too.
    pub fn named_events(&self) -> Vec<Value> {
        let text = self.text();
        let text = text.strip_suffix("\n\n").expect("a stream ends in an empty line");
        let event = |event: &str| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(Some(data["type"].as_str().unwrap()), name.strip_prefix("event: "));
            data
        };
        text.split("\n\n").map(event).collect()
    }

    /// The JSON of each line.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &[u8]) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: demo\r\nx-test: kept\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    }

    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, chunks: Vec::new(), end: End::Whole };
        if let Some(length) =
            answer.header("content-length").map(|length| length.parse::<usize>().unwrap())
        {
            answer.end = self.fill(length).await;
            answer.chunks.push(self.take(length));
            return answer;
        }
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => answer.chunks.push(chunk),
                Ok(None) => return answer,
                Err(end) => {
                    answer.end = end;
                    return answer;
                }
            }
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// How the rest of a chunked answer ends.
    pub async fn answer_rest(&mut self) -> End {
        loop {
            match self.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return End::Whole,
                Err(end) => return end,
            }
        }
    }

    pub async fn head(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return String::from_utf8(self.take(at + 4)).unwrap();
            }
            assert_eq!(self.more().await, End::Whole, "no head came");
        }
    }

    /// The next chunk, none at the proper end, or how the stream broke off.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, End> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..at]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if self.fill(at + 2 + size + 2).await != End::Whole {
                    return Err(End::Closed);
                }
                let chunk = self.take(at + 2 + size + 2)[at + 2..at + 2 + size].to_vec();
                return Ok(Some(chunk).filter(|chunk| !chunk.is_empty()));
            }
            match self.more().await {
                End::Whole => {}
                end => return Err(end),
            }
        }
    }

    /// Whether the server closes the connection, and says no more.
    pub async fn closed(&mut self) -> bool {
        self.buffer.is_empty() && self.more().await != End::Whole
    }

    async fn fill(&mut self, length: usize) -> End {
        while self.buffer.len() < length {
            match self.more().await {
                End::Whole => {}
                end => return end,
            }
        }
        End::Whole
    }

    async fn more(&mut self) -> End {
        match within(self.stream.read_buf(&mut self.buffer)).await {
            Ok(0) => End::Closed,
            Ok(_) => End::Whole,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.buffer.len());
        self.buffer.drain(..length).collect()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
