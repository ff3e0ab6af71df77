//! The body of an answer, as it arrives. Whoever reads it owns the connection; dropped before its
//! end, the connection is closed.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::SizeHint;
use thiserror::Error;

use super::chunked::{BadChunk, ChunkedDecoder};
use super::head::{AnswerHead, BodyLength};
use super::{Connection, read_some};

#[derive(Debug, Error)]
pub enum BodyError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the connection ended in the middle of the body")]
    Ended,
    #[error("{0}")]
    BadChunk(#[from] BadChunk),
    #[error("it is larger than {max} bytes")]
    TooLarge { max: usize },
}

/// See the module.
#[derive(Debug)]
pub struct Body {
    connection: Connection,
    rest: Rest,
    reusable: bool,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Nothing,
    Exact(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl Body {
    /// The body of the answer whose head just came on the connection.
    #[must_use]
    pub fn new(connection: Connection, head: &AnswerHead) -> Self {
        let rest = match head.length {
            BodyLength::Exact(0) => Rest::Nothing,
            BodyLength::Exact(bytes) => Rest::Exact(bytes),
            BodyLength::Chunked => Rest::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Rest::UntilClose,
        };
        Self { connection, rest, reusable: head.reusable }
    }

    /// The next piece: what one read brought, the transfer coding taken off.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Self { connection: Connection { stream, ahead, .. }, rest, .. } = self;
        loop {
            if matches!(rest, Rest::Nothing) {
                return Poll::Ready(None);
            }
            let piece = if ahead.is_empty() {
                ready!(read_some(stream, cx, |bytes| rest.read(bytes, ahead)))?
            } else {
                let piece = rest.take_ahead(ahead);
                if ahead.is_empty() {
                    // Its memory would stay with the connection.
                    *ahead = BytesMut::new();
                }
                piece
            };
            match piece {
                // Only framing came.
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Nothing more comes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// What is still to come; exact where the upstream told a length.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Exact(bytes) => SizeHint::with_exact(bytes),
            Rest::Chunked(_) | Rest::UntilClose => SizeHint::default(),
        }
    }

    /// The connection, where it may serve another request.
    #[must_use]
    pub fn into_connection(self) -> Option<Connection> {
        let reusable = self.reusable && self.is_over() && self.connection.ahead.is_empty();
        reusable.then_some(self.connection)
    }

    /// Reads it to its end.
    ///
    /// # Errors
    /// A body that breaks off, or has more than `max` bytes.
    pub async fn collect(&mut self, max: usize) -> Result<Bytes, BodyError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| self.poll_data(cx)).await.transpose()? {
            if whole.len() + piece.len() > max {
                return Err(BodyError::TooLarge { max });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads it to its end and keeps nothing of it.
    ///
    /// # Errors
    /// A body that breaks off, or has more than `max` bytes.
    pub async fn discard(&mut self, max: usize) -> Result<(), BodyError> {
        let mut bytes = 0;
        while let Some(piece) = poll_fn(|cx| self.poll_data(cx)).await.transpose()? {
            bytes += piece.len();
            if bytes > max {
                return Err(BodyError::TooLarge { max });
            }
        }
        Ok(())
    }
}

impl Rest {
    /// What a read brought, empty at the connection's end; bytes past the body's go to `ahead`.
    fn read(&mut self, bytes: &[u8], ahead: &mut BytesMut) -> Result<Bytes, BodyError> {
        if bytes.is_empty() {
            return match self {
                Self::UntilClose => {
                    *self = Self::Nothing;
                    Ok(Bytes::new())
                }
                _ => Err(BodyError::Ended),
            };
        }
        let (piece, used) = match self {
            Self::Chunked(decoder) => {
                let mut piece = BytesMut::with_capacity(bytes.len());
                let used = decoder.decode(bytes, &mut piece)?;
                (piece.freeze(), used)
            }
            _ => {
                let used = self.most(bytes.len());
                (Bytes::copy_from_slice(bytes.get(..used).unwrap_or_default()), used)
            }
        };
        self.advance(used);
        ahead.extend_from_slice(bytes.get(used..).unwrap_or_default());
        Ok(piece)
    }

    /// What was read along with the head.
    fn take_ahead(&mut self, ahead: &mut BytesMut) -> Result<Bytes, BodyError> {
        if let Self::Chunked(decoder) = self {
            let mut piece = BytesMut::with_capacity(ahead.len());
            let used = decoder.decode(ahead, &mut piece)?;
            ahead.advance(used);
            self.advance(used);
            return Ok(piece.freeze());
        }
        let used = self.most(ahead.len());
        self.advance(used);
        Ok(ahead.split_to(used).freeze())
    }

    /// How many of so many bytes belong to the body.
    fn most(&self, bytes: usize) -> usize {
        match self {
            Self::Exact(left) => usize::try_from(*left).unwrap_or(usize::MAX).min(bytes),
            _ => bytes,
        }
    }

    fn advance(&mut self, used: usize) {
        match self {
            Self::Exact(left) => {
                *left -= used as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
            }
            Self::Chunked(decoder) if decoder.is_done() => *self = Self::Nothing,
            Self::Chunked(_) | Self::UntilClose | Self::Nothing => {}
        }
    }
}
