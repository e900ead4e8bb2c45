//! Taking in a request's body: piece by piece, at a bearable pace, never more of it in memory than its kind allows.

use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Buf, Bytes, Payload};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use crate::limits::{BODY_GRACE, LIGHT_BODY, RETRY_AFTER, SLOWEST_BODY};
use crate::problem::Problem;

/// A body on its way.
pub struct Body {
    payload: Payload,
    announced: Option<u64>,
    limit: u64,
    received: u64,
    began: Instant,
}

impl Body {
    /// The body of `request`, of `limit` bytes at the most.
    ///
    /// # Errors
    /// Where more is announced.
    pub fn of(request: &HttpRequest, payload: Payload, limit: u64) -> Result<Self, Problem> {
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = Self { payload, announced, limit, received: 0, began: Instant::now() };
        match announced {
            Some(length) if length > limit => Err(body.too_large()),
            _ => Ok(body),
        }
    }

    /// Whether it is known to be small enough for the event loop.
    pub fn is_light(&self) -> bool {
        self.announced.is_some_and(|length| length <= LIGHT_BODY)
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Where the body is too large, comes too slowly, or breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let deadline = self.began + BODY_GRACE + Duration::from_secs_f64(self.received as f64 / SLOWEST_BODY);
        let Ok(next) = timeout_at(deadline.into(), self.payload.next()).await else {
            return Err(Problem::TooSlow(format!(
                "the body comes too slowly: {} bytes in {} s; send {SLOWEST_BODY} bytes a second or more",
                self.received,
                self.began.elapsed().as_secs()
            )));
        };
        let Some(piece) = next else { return Ok(None) };
        let piece = piece.map_err(|error| Problem::BadRequest(format!("the body cannot be read: {error}")))?;
        self.received += piece.len() as u64;
        match self.received > self.limit {
            true => Err(self.too_large()),
            false => Ok(Some(piece)),
        }
    }

    /// The whole body, and a permit of `places` where it is not a light one.
    pub async fn whole<'p>(mut self, places: &'p Semaphore) -> Result<(Bytes, Option<SemaphorePermit<'p>>), Problem> {
        let mut permit = None;
        if self.announced.is_some() && !self.is_light() {
            permit = Some(place(places)?);
        }
        let Some(first) = self.next().await? else { return Ok((Bytes::new(), None)) };
        // Most bodies come in one piece, which then need not be copied.
        if self.announced == Some(first.len() as u64) {
            return Ok((first, permit));
        }
        let mut whole = Vec::from(first);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
            if permit.is_none() && whole.len() as u64 > LIGHT_BODY {
                permit = Some(place(places)?);
            }
        }
        Ok((whole.into(), permit))
    }

    /// Sends the pieces until the end, or until nobody takes them any more.
    pub async fn pump(mut self, into: mpsc::Sender<io::Result<Bytes>>) -> Result<(), Problem> {
        loop {
            match self.next().await {
                Ok(None) => return Ok(()),
                Ok(Some(piece)) => {
                    if into.send(Ok(piece)).await.is_err() {
                        return Ok(()); // the reader has an answer, or a complaint, already
                    }
                }
                Err(problem) => {
                    let _ = into.send(Err(io::Error::other("the body broke off"))).await;
                    return Err(problem);
                }
            }
        }
    }

    fn too_large(&self) -> Problem {
        Problem::TooLarge(format!("the body is larger than {} bytes; send it in parts", self.limit))
    }
}

/// A permit to take in a large body.
pub fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    places.try_acquire().map_err(|_| {
        Problem::Busy("too many large bodies are being sent at once; send this one again later".to_owned(), RETRY_AFTER)
    })
}

/// The pieces of a body as a stream for a reader on another thread.
pub struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Pieces {
    /// What comes through `pieces`.
    pub fn new(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { pieces, current: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// A stream whose reader works only while it holds a turn, and gives it back while it waits for more to read: many may
/// read at once, one computes.
pub struct InTurns<'t, R> {
    stream: R,
    turn: &'t Mutex<()>,
    held: Option<MutexGuard<'t, ()>>,
}

impl<'t, R> InTurns<'t, R> {
    /// `stream`, worked on in turns.
    pub fn new(stream: R, turn: &'t Mutex<()>) -> Self {
        Self { stream, turn, held: None }
    }
}

impl<R: Read> Read for InTurns<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.held = None;
        let read = self.stream.read(buffer);
        self.held = Some(self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        read
    }
}
