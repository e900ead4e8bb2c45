//! HTTP/1 connections: reads one request at a time, passes it to the application and sends the answer.
//!
//! The codec is that of actix-web, but its connections are not used: they wait without a limit for chunked bodies, for
//! the heads of further requests and for peers that do not read. They also read ahead, so that a HEAD request corrupts
//! the previous answer. Here a request is read only after the previous one is answered, and every wait for the peer
//! goes through [`wire`].

mod peers;
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::{ParseError, PayloadError};
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, Method, Payload, Request, Response, ServiceConfig};
use actix_service::Service;
use actix_service::boxed::BoxService;
use actix_web::dev::ServiceResponse;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{Error, ResponseError};
use futures_util::Stream;
use tokio_util::codec::Encoder;

pub use self::peers::{Peer, Peers};
use self::wire::{ByteStream, Event, Wire};
use crate::limits::LINGER_LIMIT;
use crate::problem::Problem;

/// Longer answers in memory are sent in pieces of this many bytes and counted as held for their peer.
const PIECE: usize = 64 << 10;

/// Number of bytes of a streamed answer that are collected before they are sent.
const COLLECTED: usize = 32 << 10;

/// The service that answers requests.
pub type Application = BoxService<Request, ServiceResponse, Error>;

/// Answers the requests of one connection until it ends. `address` is `None` for a Unix socket.
pub async fn serve(
    stream: Box<dyn ByteStream>,
    peer: Peer,
    address: Option<SocketAddr>,
    application: Rc<Application>,
    config: ServiceConfig,
) {
    let wire = Rc::new(RefCell::new(Wire::new(stream, peer, config.clone())));
    loop {
        let mut until = None;
        let next = poll_fn(|cx| wire.borrow_mut().poll_request(cx, &mut until)).await;
        let going_on = match next {
            Event::Request(mut request) => {
                request.head_mut().peer_addr = address;
                answer(&wire, request, &application).await
            }
            Event::End => return,
            Event::TooSlow => {
                let problem = Problem::TooSlow("the head of the request arrives too slowly".to_owned());
                refuse(&wire, &problem, config.clone()).await
            }
            Event::Invalid(error) => refuse(&wire, &problem(&error), config.clone()).await,
        };
        match going_on {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => return, // the peer has disconnected or does not read
        }
    }
    let until = Instant::now() + LINGER_LIMIT;
    poll_fn(|cx| wire.borrow_mut().poll_linger(cx, until)).await;
}

/// Answers one request; returns whether another one may follow.
async fn answer(wire: &Rc<RefCell<Wire>>, mut request: Request, application: &Application) -> io::Result<bool> {
    let only_head = request.method() == Method::HEAD;
    if wire.borrow().has_body() {
        *request.payload() = Payload::Stream { payload: Box::pin(Incoming(wire.clone())) };
    }
    let mut answering = application.call(request);
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Ok(answer)),
        Poll::Pending => wire.borrow_mut().poll_gone(cx).map(Err),
    });
    let mut answer = match answered.await? {
        Ok(response) => OutgoingAnswer::new(Response::from(response).map_into_boxed_body()),
        Err(error) => OutgoingAnswer::new(error.error_response().into()),
    };
    if !only_head && !answer.has_room(&wire.borrow().peer) {
        let full = "too many answers wait for clients that do not read them; ask again later";
        answer = OutgoingAnswer::new(Problem::Busy(full.to_owned()).error_response().into());
    }
    let whole = poll_fn(|cx| Poll::Ready(wire.borrow_mut().skip_body(cx))).await;
    if !whole || wire.borrow().is_last() {
        answer.head.head_mut().set_connection_type(ConnectionType::Close);
    }
    send(wire, answer, only_head).await?;
    let wire = wire.borrow();
    wire.peer.holds(0, 0);
    Ok(whole && wire.codec.keep_alive())
}

/// Sends an answer that comes from the connection itself and not from the application; the connection ends after it.
/// Always returns `false`.
async fn refuse(wire: &RefCell<Wire>, problem: &Problem, config: ServiceConfig) -> io::Result<bool> {
    // The codec used so far may be in the middle of decoding something.
    wire.borrow_mut().codec = Codec::new(config);
    let mut answer = OutgoingAnswer::new(problem.error_response().into());
    answer.head.head_mut().set_connection_type(ConnectionType::Close);
    send(wire, answer, false).await?;
    Ok(false)
}

async fn send(wire: &RefCell<Wire>, answer: OutgoingAnswer, only_head: bool) -> io::Result<()> {
    let encode = |message, output: &mut BytesMut| wire.borrow_mut().codec.encode(message, output);
    let send = async |output: &mut BytesMut| poll_fn(|cx| wire.borrow_mut().poll_send(cx, output)).await;
    let mut output = BytesMut::with_capacity(COLLECTED / 16);
    wire.borrow_mut().begin_answer();
    encode(Message::Item((answer.head, answer.size)), &mut output)?;
    match answer.body {
        _ if only_head => {}
        Ok(mut rest) => {
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(PIECE));
                encode(Message::Chunk(Some(piece)), &mut output)?;
                wire.borrow_mut().held = rest.len() as u64;
                if !rest.is_empty() {
                    send(&mut output).await?;
                }
            }
        }
        Err(mut body) => {
            while let Some(piece) = poll_fn(|cx| body.as_pin_mut().poll_next(cx)).await {
                let piece = piece.map_err(|error| io::Error::other(error.to_string()))?;
                encode(Message::Chunk(Some(piece)), &mut output)?;
                if output.len() >= COLLECTED {
                    send(&mut output).await?;
                }
            }
        }
    }
    encode(Message::Chunk(None), &mut output)?;
    send(&mut output).await
}

/// An answer that is ready to be sent.
struct OutgoingAnswer {
    head: Response<()>,
    size: BodySize,
    /// The body in memory, or the stream that produces it.
    body: Result<Bytes, BoxBody>,
}

impl OutgoingAnswer {
    fn new(response: Response<BoxBody>) -> Self {
        let mut body = BoxBody::new(());
        let head = response.map_body(|_, of_response| body = of_response);
        Self { head, size: body.size(), body: body.try_into_bytes() }
    }

    /// Counts a long answer in memory, or one in a file, for its peer until it is sent. Returns whether there is room
    /// for it.
    fn has_room(&self, peer: &Peer) -> bool {
        match (&self.body, self.size) {
            (Ok(bytes), _) if bytes.len() > PIECE => peer.holds(bytes.len() as u64, 0),
            (Err(_), BodySize::Sized(length)) => peer.holds(0, length),
            _ => true,
        }
    }
}

/// The problem document for a request head that cannot be parsed.
fn problem(error: &ParseError) -> Problem {
    match error {
        ParseError::TooLarge => Problem::HeadTooLarge,
        error => Problem::BadRequest(format!("the request is not valid HTTP/1.1: {error}")),
    }
}

/// The body of a request, received only as fast as the application reads it.
struct Incoming(Rc<RefCell<Wire>>);

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_body(cx)
    }
}
