//! HTTP/1.1 as the mock server and the generators read it: heads, lengths and chunks, without
//! copying. It must not know sockets, nor what a body means.

use thiserror::Error;

/// More header fields than any contender sends.
const FIELDS_MAX: usize = 48;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    #[error("the head of a message can't be read")]
    Head,
    #[error("a chunk can't be read")]
    Chunk,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The head of a request. `bytes` is its length; a query isn't part of the path.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    pub bytes: usize,
    pub get: bool,
    pub path: &'a str,
    pub framing: Framing,
}

/// The head of a response. `bytes` is its length.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub bytes: usize,
    pub status: u16,
    pub framing: Framing,
}

/// # Errors
/// Where it isn't a request.
pub fn request_head(input: &[u8]) -> Result<Option<RequestHead<'_>>, WireError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(httparse::Status::Complete(bytes)) => Ok(Some(RequestHead {
            bytes,
            get: request.method == Some("GET"),
            path: request.path.and_then(|path| path.split('?').next()).unwrap_or_default(),
            // A request without either has no body.
            framing: framing(request.headers)?.unwrap_or(Framing::Length(0)),
        })),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(WireError::Head),
    }
}

/// # Errors
/// Where it isn't a response.
pub fn response_head(input: &[u8]) -> Result<Option<ResponseHead>, WireError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(input) {
        Ok(httparse::Status::Complete(bytes)) => Ok(Some(ResponseHead {
            bytes,
            status: response.code.ok_or(WireError::Head)?,
            framing: framing(response.headers)?.unwrap_or(Framing::UntilClose),
        })),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(WireError::Head),
    }
}

fn framing(fields: &[httparse::Header<'_>]) -> Result<Option<Framing>, WireError> {
    let mut framing = None;
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).map_err(|_| WireError::Head)?;
            framing = Some(Framing::Length(text.trim().parse().map_err(|_| WireError::Head)?));
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Some(Framing::Chunked));
        }
    }
    Ok(framing)
}

/// A body while it is read.
#[derive(Debug)]
pub struct Body(State);

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    UntilClose,
    /// In a chunk's size line; the size so far.
    Size(u64),
    /// Behind the digits of a size, up to the line's end.
    Extension(u64),
    Data(u64),
    /// Between a chunk's data and the next size.
    AfterData,
    /// Behind the last chunk; the bytes of the line so far.
    Trailer(usize),
    Done,
}

impl Body {
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(bytes) => State::Length(bytes),
            Framing::Chunked => State::Size(0),
            Framing::UntilClose => State::UntilClose,
        })
    }

    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Whether a close of the connection would be its end.
    pub fn ends_with_close(&self) -> bool {
        matches!(self.0, State::UntilClose | State::Done)
    }

    /// Reads on, gives the content away, and returns how much of `input` belonged to this body.
    ///
    /// # Errors
    /// Where the chunks are broken.
    pub fn feed(
        &mut self,
        input: &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<usize, WireError> {
        let mut rest = input;
        while let Some(&byte) = rest.first() {
            match self.0 {
                State::Done => break,
                State::UntilClose => {
                    content(rest);
                    rest = &[];
                }
                State::Length(left) => {
                    let (data, behind) = split(rest, left);
                    content(data);
                    rest = behind;
                    let left = left.saturating_sub(data.len() as u64);
                    self.0 = if left == 0 { State::Done } else { State::Length(left) };
                }
                State::Data(left) => {
                    let (data, behind) = split(rest, left);
                    content(data);
                    rest = behind;
                    let left = left.saturating_sub(data.len() as u64);
                    self.0 = if left == 0 { State::AfterData } else { State::Data(left) };
                }
                State::Size(_) | State::Extension(_) | State::AfterData | State::Trailer(_) => {
                    self.0 = step(self.0, byte)?;
                    rest = rest.split_first().map_or(&[], |(_, behind)| behind);
                }
            }
        }
        Ok(input.len().saturating_sub(rest.len()))
    }
}

fn split(input: &[u8], at: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(input.len());
    input.split_at_checked(at).unwrap_or((input, &[]))
}

/// One byte between the chunks' data.
fn step(state: State, byte: u8) -> Result<State, WireError> {
    Ok(match (state, byte) {
        (State::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            let digit = char::from(byte).to_digit(16).ok_or(WireError::Chunk)?;
            let size = size.checked_mul(16).ok_or(WireError::Chunk)?;
            State::Size(size.saturating_add(u64::from(digit)))
        }
        (State::Size(size), b';' | b'\r' | b' ') => State::Extension(size),
        (State::Extension(0), b'\n') => State::Trailer(0),
        (State::Extension(size), b'\n') => State::Data(size),
        (State::Extension(size), _) => State::Extension(size),
        (State::AfterData, b'\r') => State::AfterData,
        (State::AfterData, b'\n') => State::Size(0),
        (State::Trailer(length), b'\r') => State::Trailer(length),
        (State::Trailer(0), b'\n') => State::Done,
        (State::Trailer(_), b'\n') => State::Trailer(0),
        (State::Trailer(length), _) => State::Trailer(length.saturating_add(1)),
        _ => return Err(WireError::Chunk),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const CHUNKED: &[u8] = b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\nx-t: 1\r\n\r\nHTTP";

    #[test]
    fn chunks_are_joined_wherever_the_reads_were_cut() {
        for cut in 0..CHUNKED.len() {
            let (mut body, mut seen, mut used) = (Body::new(Framing::Chunked), Vec::new(), 0);
            for part in [&CHUNKED[..cut], &CHUNKED[cut..]] {
                used += body.feed(part, |data| seen.extend_from_slice(data)).unwrap();
            }
            assert!(body.is_done());
            assert_eq!(
                (seen.as_slice(), used),
                (&b"hello world"[..], CHUNKED.len() - 4),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_body_with_a_length_ends_there() {
        let mut body = Body::new(Framing::Length(3));
        assert_eq!(body.feed(b"ab", |_| {}), Ok(2));
        assert!(!body.is_done() && !body.ends_with_close());
        assert_eq!(body.feed(b"cde", |_| {}), Ok(1));
        assert!(body.is_done());
    }

    #[test]
    fn a_broken_chunk_is_an_error() {
        assert_eq!(Body::new(Framing::Chunked).feed(b"xyz\r\n", |_| {}), Err(WireError::Chunk));
    }

    #[test]
    fn heads_are_read_once_they_are_whole() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(response_head(&head[..20]), Ok(None));
        let whole = ResponseHead { bytes: head.len(), status: 200, framing: Framing::Length(12) };
        assert_eq!(response_head(head), Ok(Some(whole)));
        assert_eq!(response_head(b"SSH-2.0\r\n\r\n"), Err(WireError::Head));
        let head = b"GET /v1/models?limit=9 HTTP/1.1\r\nhost: a\r\n\r\n";
        let (path, framing) = ("/v1/models", Framing::Length(0));
        let whole = RequestHead { bytes: head.len(), get: true, path, framing };
        assert_eq!(request_head(head), Ok(Some(whole)));
    }
}
