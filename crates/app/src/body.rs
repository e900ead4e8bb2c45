//! Receives request bodies piece by piece. No more of a body is held in memory than its kind allows.

use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Buf, Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::limits::{MINIMUM_RATE, SMALL_BODY};
use crate::problem::Problem;

/// A request body that is being received. The connection enforces its minimum rate.
pub struct Body {
    payload: Payload,
    limit: u64,
    received: u64,
}

impl Body {
    /// The body of `request`, with a limit of `limit` bytes.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] if the request announces a larger body.
    pub fn of(request: &HttpRequest, payload: Payload, limit: u64) -> Result<Self, Problem> {
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let body = Self { payload, limit, received: 0 };
        match announced {
            Some(length) if length > limit => Err(body.too_large()),
            _ => Ok(body),
        }
    }

    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// Returns a [`Problem`] if the body is too large, arrives too slowly, or breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(piece) = self.payload.next().await else { return Ok(None) };
        let piece = piece.map_err(|error| match error {
            PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Problem::TooSlow(format!(
                "the body arrives too slowly: {} bytes were received; send at least {MINIMUM_RATE} bytes per second",
                self.received
            )),
            error => Problem::BadRequest(format!("the body cannot be read: {error}")),
        })?;
        self.received += piece.len() as u64;
        match self.received > self.limit {
            true => Err(self.too_large()),
            false => Ok(Some(piece)),
        }
    }

    /// Receives the body until it ends or exceeds `SMALL_BODY`; the result [is small](is_small) if it is the whole
    /// body. A client that announces a large body but does not send it gets here no permit for large bodies, so it
    /// blocks no other client.
    pub async fn start(&mut self) -> Result<Bytes, Problem> {
        // Most bodies arrive in one piece, which then does not have to be copied.
        let first = self.next().await?.unwrap_or_default();
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut start = BytesMut::from(first);
        start.extend_from_slice(&second);
        while is_small(&start)
            && let Some(piece) = self.next().await?
        {
            start.extend_from_slice(&piece);
        }
        Ok(start.freeze())
    }

    /// Receives the rest of the body and returns all of it; `start` was received earlier.
    pub async fn rest(mut self, start: Bytes) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::from(start);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Sends `start`, which was received earlier, and all following pieces to `into`, until the body ends or the
    /// receiver is dropped.
    pub async fn forward(mut self, start: Bytes, into: mpsc::Sender<io::Result<Bytes>>) -> Result<(), Problem> {
        let mut piece = start;
        loop {
            if into.send(Ok(piece)).await.is_err() {
                return Ok(()); // the reader already has an answer or an error
            }
            match self.next().await {
                Ok(None) => return Ok(()),
                Ok(Some(next)) => piece = next,
                Err(problem) => {
                    let _ = into.send(Err(io::Error::other("the body is incomplete"))).await;
                    return Err(problem);
                }
            }
        }
    }

    fn too_large(&self) -> Problem {
        Problem::TooLarge(format!("the body is larger than {} bytes; send it in several requests", self.limit))
    }
}

/// Whether what was received is so short that it is processed on the event loop.
pub fn is_small(received: &[u8]) -> bool {
    received.len() as u64 <= SMALL_BODY
}

/// A [`Read`] adapter over the chunks of a body, for a reader on another thread.
pub struct ChunkReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl ChunkReader {
    /// A reader of the chunks received from `chunks`.
    pub fn new(chunks: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { chunks, current: Bytes::new() }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// A [`Read`] adapter that releases a mutex while it waits for input and holds it while its reader processes the input.
/// Many readers can wait for input at the same time, but only one computes.
pub struct YieldingReader<'m, R> {
    stream: R,
    computing: &'m Mutex<()>,
    held: Option<MutexGuard<'m, ()>>,
}

impl<'m, R> YieldingReader<'m, R> {
    /// Wraps `stream`; `computing` is the mutex that is shared with the other readers.
    pub fn new(stream: R, computing: &'m Mutex<()>) -> Self {
        Self { stream, computing, held: None }
    }
}

impl<R: Read> Read for YieldingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.held = None;
        let read = self.stream.read(buffer);
        self.held = Some(self.computing.lock().unwrap_or_else(PoisonError::into_inner));
        read
    }
}
