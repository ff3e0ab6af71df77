//! The heads of requests, as they are written, and of answers, as they are read (RFC 9112 §§2–6).

use std::mem::MaybeUninit;
use std::ops::Deref;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use thiserror::Error;

/// Header lines of an answer.
const HEADERS_MAX: usize = 128;
/// What a usual request's head has.
const USUAL_BYTES: usize = 1024;

/// A request's head in the form in which it is sent.
#[derive(Debug)]
pub struct RequestHead(Vec<u8>);

impl RequestHead {
    /// `path` is joined from parts that were parsed as paths before.
    #[must_use]
    pub fn new(method: &Method, path: [&str; 2], host: &HeaderValue) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        path.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let mut head = Self(bytes);
        head.header("host", host);
        head
    }

    /// Adds a line. Neither type can hold the end of one.
    pub fn header(&mut self, name: &str, value: &HeaderValue) {
        self.line(name, value.as_bytes());
    }

    /// Ends the head of a request whose body has this many bytes.
    #[must_use]
    pub fn end(mut self, body_bytes: usize) -> Self {
        self.line(CONTENT_LENGTH.as_str(), itoa::Buffer::new().format(body_bytes).as_bytes());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Ends the head of a request that has no body.
    #[must_use]
    pub fn end_without_body(mut self) -> Self {
        self.0.extend_from_slice(b"\r\n");
        self
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }
}

impl Deref for RequestHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    pub status: StatusCode,
    /// Those that were to be kept.
    pub headers: HeaderMap,
    pub(super) length: BodyLength,
    /// Whether the connection may serve another request after this answer.
    pub(super) reusable: bool,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyLength {
    Exact(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadHead {
    #[error("{0}")]
    Malformed(#[from] httparse::Error),
    #[error("its status isn't one")]
    Status,
    #[error("its Content-Length isn't a number, or there are several")]
    Length,
    #[error("it is too large")]
    TooLarge,
    #[error("it changes the protocol")]
    Upgrade,
    #[error("its body is coded in another way than in chunks, once")]
    Coding,
}

/// Reads the head of a final answer and how many bytes were used; interim ones are passed over.
/// Of headers only those that `keep` names are kept.
pub(super) fn read(
    bytes: &[u8],
    keep: fn(&str) -> bool,
) -> Result<(Option<AnswerHead>, usize), BadHead> {
    let mut used = 0;
    loop {
        let Some((head, length)) = read_one(bytes.get(used..).unwrap_or_default(), keep)? else {
            return Ok((None, used));
        };
        used += length;
        match head.status.as_u16() {
            101 => return Err(BadHead::Upgrade),
            100..=199 => {}
            _ => return Ok((Some(head), used)),
        }
    }
}

fn read_one(bytes: &[u8], keep: fn(&str) -> bool) -> Result<Option<(AnswerHead, usize)>, BadHead> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut lines,
    )?;
    let httparse::Status::Complete(used) = parsed else { return Ok(None) };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(BadHead::Status)?;

    let mut headers = HeaderMap::new();
    let mut framing = Framing::default();
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes())
            .map_err(|_| httparse::Error::HeaderName)?;
        framing.header(&name, line.value)?;
        if keep(name.as_str()) {
            let value =
                HeaderValue::from_bytes(line.value).map_err(|_| httparse::Error::HeaderValue)?;
            headers.append(name, value);
        }
    }
    let (length, reusable) = framing.judge(status, response.version == Some(1));
    Ok(Some((AnswerHead { status, headers, length, reusable }, used)))
}

/// What an answer's headers say of its body and of the connection.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn header(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), BadHead> {
        if *name == CONTENT_LENGTH {
            // The same number twice is one number (RFC 9110 §8.6).
            for number in value.split(|byte| *byte == b',') {
                let number = decimal(number.trim_ascii()).ok_or(BadHead::Length)?;
                if self.length.replace(number).is_some_and(|before| before != number) {
                    return Err(BadHead::Length);
                }
            }
        } else if *name == TRANSFER_ENCODING {
            // No other was asked for (RFC 9110 §10.1.4), and whoever passed the answer on may have
            // read several in another way than we would.
            for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if !coding.eq_ignore_ascii_case(b"chunked") || self.chunked {
                    return Err(BadHead::Coding);
                }
                self.chunked = true;
            }
        } else if *name == CONNECTION {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    fn judge(&self, status: StatusCode, is_http11: bool) -> (BodyLength, bool) {
        let persistent = !self.close && (is_http11 || self.keep_alive);
        match (status.as_u16(), self.length) {
            // These have no body; a server that tells of one may send it.
            (204 | 304, length) => {
                let bare = !self.chunked && length.unwrap_or(0) == 0;
                (BodyLength::Exact(0), persistent && bare)
            }
            // Both at once, or a coding from a server that can't know it: the body is read one
            // way, and the connection isn't trusted with another answer.
            (_, length) if self.chunked => {
                (BodyLength::Chunked, persistent && is_http11 && length.is_none())
            }
            (_, Some(bytes)) => (BodyLength::Exact(bytes), persistent),
            (_, None) => (BodyLength::UntilClose, false),
        }
    }
}

/// Digits alone: `str::parse` would take a sign.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(head: &str) -> Result<(BodyLength, bool), BadHead> {
        let (head, used) =
            read(head.as_bytes(), |_| true).map(|(head, used)| (head.unwrap(), used))?;
        assert!(used > 0);
        Ok((head.length, head.reusable))
    }

    #[test]
    fn the_bodys_end_is_known_by_rfc_9112_section_6_3() {
        use BodyLength::{Chunked, Exact, UntilClose};
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Ok((Exact(5), true))),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5\r\n\r\n",
                Ok((Exact(5), true)),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
                Err(BadHead::Length),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", Err(BadHead::Length)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
                Err(BadHead::Length),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", Err(BadHead::Length)),
            ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", Err(BadHead::Length)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\n", Err(BadHead::Length)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\n", Err(BadHead::Length)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5,\r\n\r\n", Err(BadHead::Length)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\n", Err(BadHead::Length)),
            // A line may end in a bare LF (RFC 9112 §2.2).
            ("HTTP/1.1 200 OK\ncontent-length: 5\n\n", Ok((Exact(5), true))),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Ok((Chunked, true))),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                Ok((Chunked, false)),
            ),
            ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Ok((Chunked, false))),
            ("HTTP/1.1 200 OK\r\n\r\n", Ok((UntilClose, false))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok((Exact(0), true))),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", Ok((Exact(0), true))),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Ok((Exact(0), false))),
            (
                "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\ncontent-length: 5\r\n\r\n",
                Ok((Exact(5), false)),
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Ok((Exact(5), false))),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 5\r\n\r\n",
                Ok((Exact(5), true)),
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\ncontent-length: 5\r\n\r\n",
                Ok((Exact(5), false)),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
                Ok((Exact(1), true)),
            ),
            ("HTTP/1.1 101 Switching\r\n\r\n", Err(BadHead::Upgrade)),
            ("HTTP/1.1 099 Odd\r\n\r\n", Err(BadHead::Status)),
        ];
        for (head, expected) in cases {
            assert_eq!(of(head), expected, "{head}");
        }
    }

    #[test]
    fn a_head_is_whole_or_waited_for_and_what_follows_is_left_alone() {
        let head = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nc: d\r\n\r\n";
        for until in 0..head.len() {
            assert!(read(head.get(..until).unwrap(), |_| true).unwrap().0.is_none(), "{until}");
        }
        let with_body = [head.as_slice(), b"body"].concat();
        let (read_head, used) = read(&with_body, |name| name == "a").unwrap();
        assert_eq!(used, head.len());
        let headers = read_head.unwrap().headers;
        assert_eq!((headers.len(), headers.get("a").unwrap().as_bytes()), (1, b"b".as_slice()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 100 Go\r\n\r\n"), Just("\r\n"),
                    Just("Content-Length: "), Just("Transfer-Encoding: "), Just("chunked"),
                    Just("Connection: close"), Just(", "), Just("18446744073709551615"), Just("\n"),
                    Just("é"), Just("\0"), Just(":"), Just(" "),
                ],
                0..20,
            ),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let bytes = [pieces.concat().as_bytes(), &rest].concat();
            if let Ok((_, used)) = read(&bytes, |_| true) {
                prop_assert!(used <= bytes.len());
            }
        }
    }

    #[test]
    fn a_transfer_coding_is_chunked_once_or_refused() {
        let of = |lines: &str| of(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        assert_eq!(of("Transfer-Encoding: Chunked\r\n"), Ok((BodyLength::Chunked, true)));
        for lines in [
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding:\r\n",
            "content-length: 3\r\nTransfer-Encoding: identity\r\n",
        ] {
            assert_eq!(of(lines), Err(BadHead::Coding), "{lines}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for head in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2.0 200\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n content-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length\x0b: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            // An interim answer has no body, whatever it says.
            "HTTP/1.1 100 Continue\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert!(matches!(of(head), Err(BadHead::Malformed(_))), "{head}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert!(of(&many).is_err());
    }
}
