//! Worker threads that answer requests. Each runs its own copy of the application and serves the connections assigned
//! to it.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

use actix_http::ServiceConfig;
use actix_service::{IntoServiceFactory, ServiceFactory, boxed};
use actix_web::dev::AppConfig;
use actix_web::rt::Runtime;
use actix_web::web::Data;
use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::http::{Application, Peer, serve};
use crate::routes::application;
use crate::state::State;

/// A connection of a client, which belongs to no runtime yet.
pub enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Workers(Vec<Worker>);

struct Worker {
    queue: UnboundedSender<(Connection, Peer)>,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads. The returned receiver gets the error of a thread that fails, and `None` when all threads
    /// have ended.
    pub fn start(count: usize, state: &Data<State>) -> Result<(Self, UnboundedReceiver<anyhow::Error>)> {
        let (failed, failures) = unbounded_channel();
        let worker = |number| {
            let (queue, connections) = unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let (state, counted, failed) = (state.clone(), open.clone(), failed.clone());
            let work = move || {
                let runtime = Runtime::new().map_err(anyhow::Error::from);
                if let Err(error) = runtime.and_then(|runtime| runtime.block_on(answer(state, connections, &counted))) {
                    let _ = failed.send(error); // fails if the service no longer waits for errors
                }
            };
            thread::Builder::new().name(format!("worker {number}")).spawn(work).context("starting a thread")?;
            Ok(Worker { queue, open })
        };
        Ok((Self((0..count).map(worker).collect::<Result<_>>()?), failures))
    }

    /// Assigns a connection to the thread with the fewest open connections.
    pub fn assign(&self, connection: Connection, peer: Peer) {
        if let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) {
            worker.open.fetch_add(1, Ordering::Relaxed);
            let _ = worker.queue.send((connection, peer)); // if the thread has ended, dropping the connection closes it
        }
    }
}

/// Serves the `connections` until their channel is closed and all of them have ended.
async fn answer(
    state: Data<State>,
    mut connections: UnboundedReceiver<(Connection, Peer)>,
    open: &AtomicUsize,
) -> Result<()> {
    let service = application(state).into_factory().new_service(AppConfig::default()).await;
    let service = service.map_err(|()| anyhow!("the application cannot be started"))?;
    let (application, config) = (Rc::new(boxed::service(service)), ServiceConfig::default());
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            connection = connections.recv() => match connection {
                Some((connection, peer)) => {
                    tasks.spawn_local(begin(connection, peer, application.clone(), config.clone()));
                }
                None => break,
            },
            Some(_) = tasks.join_next() => {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn begin(connection: Connection, peer: Peer, app: Rc<Application>, config: ServiceConfig) -> io::Result<()> {
    match connection {
        Connection::Tcp(stream) => {
            stream.set_nonblocking(true)?;
            let stream = tokio::net::TcpStream::from_std(stream)?;
            // Only connections over a Unix socket have no address, and the check of the host name is skipped for them.
            // A TCP peer that has already disconnected must therefore not be served with `None`; the error ends its
            // connection.
            let address = Some(stream.peer_addr()?);
            serve(Box::new(stream), peer, address, app, config).await;
        }
        Connection::Unix(stream) => {
            stream.set_nonblocking(true)?;
            serve(Box::new(tokio::net::UnixStream::from_std(stream)?), peer, None, app, config).await;
        }
    }
    Ok(())
}
