//! Input and output of one connection: receives requests and bodies and sends answers. Every wait for the peer has a
//! limit.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_http::error::{ParseError, PayloadError};
use actix_http::h1::{Codec, Message, MessageType};
use actix_http::{Request, ServiceConfig};
use actix_web::web::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::Decoder;

use super::peers::Peer;
use crate::limits::{GRACE, HEAD_LIMIT, HELD_BY_REQUEST, IDLE_LIMIT, MINIMUM_RATE, SMALL_BODY};

/// Number of bytes that are read at once.
const READ: usize = 64 << 10;

/// A connection to a peer as a stream of bytes: over TCP or over a Unix socket.
pub trait ByteStream: AsyncRead + AsyncWrite + AsFd + Unpin {}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> ByteStream for S {}

/// A connection to a peer.
pub struct Wire {
    stream: Box<dyn ByteStream>,
    pub peer: Peer,
    pub codec: Codec,
    /// Received bytes that are not decoded yet.
    input: BytesMut,
    /// Whether the peer has closed its sending side.
    ended: bool,
    body: BodyState,
    /// Whether the peer waits for `100 Continue` before it sends the body.
    expects_continue: bool,
    /// The body that the peer sends or the answer that it receives.
    transfer: Transfer,
    /// When the current wait for the peer began; `None` if there is none.
    waiting: Option<Instant>,
    /// Bytes of an answer in memory that are not sent yet.
    pub held: u64,
}

/// The body of the current request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyState {
    /// There is no body, or all of it was received.
    Received,
    Arriving,
    /// The body is incomplete or invalid, so the bytes that follow cannot be decoded.
    Broken,
}

/// Progress of a body or an answer. Only time in which the service waited for the peer counts.
#[derive(Default)]
struct Transfer {
    bytes: u64,
    waited: Duration,
}

impl Transfer {
    /// How long the service waits for the peer's next step.
    fn patience(&self) -> Duration {
        let whole = GRACE + Duration::from_secs_f64(self.bytes as f64 / MINIMUM_RATE);
        GRACE.min(whole.saturating_sub(self.waited))
    }
}

/// The next event on a connection.
pub enum Event {
    Request(Request),
    /// The connection has ended, or no request has arrived in time.
    End,
    /// The head of a request has not arrived in time.
    TooSlow,
    /// The received bytes are not a valid request.
    Invalid(ParseError),
}

impl Wire {
    pub fn new(stream: Box<dyn ByteStream>, peer: Peer, config: ServiceConfig) -> Self {
        Self {
            stream,
            peer,
            codec: Codec::new(config),
            input: BytesMut::new(),
            ended: false,
            body: BodyState::Received,
            expects_continue: false,
            transfer: Transfer::default(),
            waiting: None,
            held: 0,
        }
    }

    /// Waits for the next request until `until`, which is reset when the first byte of a head arrives.
    pub fn poll_request(&mut self, cx: &mut Context, until: &mut Option<Instant>) -> Poll<Event> {
        loop {
            if !self.input.is_empty() {
                match self.codec.decode(&mut self.input) {
                    Ok(Some(Message::Item(request))) => {
                        self.body = match self.codec.message_type() {
                            MessageType::None => BodyState::Received,
                            MessageType::Payload | MessageType::Stream => BodyState::Arriving,
                        };
                        self.expects_continue = request.head().expect();
                        self.transfer = Transfer::default();
                        return Poll::Ready(Event::Request(request));
                    }
                    Ok(None) => {}
                    Ok(Some(Message::Chunk(_))) => return Poll::Ready(Event::Invalid(ParseError::Incomplete)),
                    Err(error) => return Poll::Ready(Event::Invalid(error)),
                }
            }
            if self.ended {
                return Poll::Ready(Event::End);
            }
            let idle = self.input.is_empty();
            if idle {
                self.input = BytesMut::new(); // requests that were decoded from the old buffer still own its memory
            }
            let limit = if idle { IDLE_LIMIT } else { HEAD_LIMIT };
            let until_then = *until.get_or_insert_with(|| Instant::now() + limit);
            match self.poll_read(cx, until_then.saturating_duration_since(Instant::now())) {
                Poll::Ready(Ok(_)) if idle => *until = None,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut && !idle => {
                    return Poll::Ready(Event::TooSlow);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Event::End),
                Poll::Pending if self.is_last() => return Poll::Ready(Event::End),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Returns the next piece of the current request's body; `None` at its end.
    pub fn poll_body(&mut self, cx: &mut Context) -> Poll<Option<Result<Bytes, PayloadError>>> {
        loop {
            match self.body {
                BodyState::Received => return Poll::Ready(None),
                BodyState::Broken => return Poll::Ready(Some(Err(PayloadError::EncodingCorrupted))),
                BodyState::Arriving => {}
            }
            match self.decode_body().transpose() {
                None if self.body == BodyState::Arriving => {} // more input is needed
                piece => return Poll::Ready(piece),
            }
            let read = match self.ended {
                true => Err(PayloadError::Incomplete(None)),
                false => {
                    self.send_continue(cx);
                    ready!(self.poll_read(cx, self.transfer.patience())).map_err(PayloadError::Io)
                }
            };
            if let Err(error) = read {
                self.body = BodyState::Broken;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// Discards the received part of a body that the application did not read. Returns whether this was the whole body,
    /// so that another request may follow.
    pub fn skip_body(&mut self, cx: &mut Context) -> bool {
        while self.body == BodyState::Arriving && !self.expects_continue {
            let needs_input = matches!(self.decode_body(), Ok(None)) && self.body == BodyState::Arriving;
            if needs_input && (self.ended || !matches!(self.poll_input(cx), Poll::Ready(Ok(1..)))) {
                break;
            }
        }
        self.body == BodyState::Received
    }

    /// Waits until the peer has disconnected while its request is being answered. A peer that has only closed its
    /// sending side still gets its answer.
    pub fn poll_gone(&mut self, cx: &mut Context) -> Poll<io::Error> {
        while self.body == BodyState::Received && !self.ended && self.input.len() < READ {
            if let Err(error) = ready!(self.poll_input(cx)) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    /// Starts the measurement of an answer's progress.
    pub fn begin_answer(&mut self) {
        self.transfer = Transfer::default();
    }

    /// Sends all bytes of `output`.
    pub fn poll_send(&mut self, cx: &mut Context, output: &mut BytesMut) -> Poll<io::Result<()>> {
        while !output.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(cx, output);
            let sent = ready!(self.limit_wait(cx, sent, output.len() as u64, self.transfer.patience()))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.transfer.bytes += sent as u64;
            output.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the sending side and discards input until the peer closes its side too. If a connection is closed while
    /// input is unread, the system resets it and the peer may lose the answer.
    pub fn poll_linger(&mut self, cx: &mut Context, until: Instant) -> Poll<()> {
        if !self.ended && (self.body != BodyState::Received || !self.input.is_empty() || self.has_more()) {
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            loop {
                self.input.clear();
                let read = ready!(self.poll_read(cx, until.saturating_duration_since(Instant::now())));
                if !matches!(read, Ok(1..)) || Instant::now() > until {
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    /// Whether the current request has a body that was not received completely.
    pub fn has_body(&self) -> bool {
        self.body != BodyState::Received
    }

    /// Whether the service is stopping and the peer has sent no further request.
    pub fn is_last(&self) -> bool {
        self.peer.is_stopping() && self.input.is_empty() && !self.has_more()
    }

    /// Whether the system holds unread bytes; the runtime may not have reported them yet.
    fn has_more(&self) -> bool {
        rustix::io::ioctl_fionread(&self.stream).is_ok_and(|bytes| bytes > 0)
    }

    /// Decodes the next piece of the body from the received bytes; `None` if more input is needed or the body has
    /// ended.
    fn decode_body(&mut self) -> Result<Option<Bytes>, PayloadError> {
        match self.codec.decode(&mut self.input) {
            Ok(Some(Message::Chunk(Some(piece)))) => return Ok(Some(piece)),
            Ok(Some(Message::Chunk(None))) => self.body = BodyState::Received,
            Ok(None) => {}
            Ok(Some(Message::Item(_))) | Err(_) => {
                self.body = BodyState::Broken;
                return Err(PayloadError::EncodingCorrupted);
            }
        }
        Ok(None)
    }

    /// Sends `100 Continue` to a peer that waits for it before it sends the body.
    fn send_continue(&mut self, cx: &mut Context) {
        if std::mem::take(&mut self.expects_continue) {
            const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            // All previous answers were sent, so there is room for one line. If it is lost, the peer sends the body
            // after a while.
            let _ = Pin::new(&mut self.stream).poll_write(cx, CONTINUE);
        }
    }

    /// Waits for more input, but not longer than `patience`.
    fn poll_read(&mut self, cx: &mut Context, patience: Duration) -> Poll<io::Result<usize>> {
        let read = self.poll_input(cx);
        let mut held = self.input.len() as u64;
        if self.body == BodyState::Arriving {
            // Small bodies are kept until they are complete.
            held += HELD_BY_REQUEST + self.transfer.bytes.min(SMALL_BODY);
        }
        let read = ready!(self.limit_wait(cx, read, held, patience))?;
        self.transfer.bytes += read as u64;
        Poll::Ready(Ok(read))
    }

    fn poll_input(&mut self, cx: &mut Context) -> Poll<io::Result<usize>> {
        let mut buffer = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        self.ended = buffer.filled().is_empty();
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Passes on the result of `polled`. While it is pending, counts `held` bytes for the peer, which must act within
    /// `patience` of the beginning of the wait.
    ///
    /// # Errors
    /// `TimedOut` if the connection was given up.
    fn limit_wait<T>(
        &mut self,
        cx: &mut Context,
        polled: Poll<io::Result<T>>,
        held: u64,
        patience: Duration,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if let Some(since) = self.waiting.take() {
                self.peer.acted();
                self.transfer.waited += since.elapsed();
            }
            return polled;
        }
        if self.waiting.is_none() {
            let now = Instant::now();
            self.waiting = Some(now);
            self.peer.waits(now, patience, self.held + held);
        }
        match self.peer.is_given_up(cx.waker()) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }
}
