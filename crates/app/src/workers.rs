//! Worker threads that answer requests. Each runs its own copy of the application and serves the connections assigned
//! to it.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

use actix_http::{Request, ServiceConfig};
use actix_service::{IntoServiceFactory, ServiceFactory};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::rt::Runtime;
use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::http::{Peer, serve};

/// A non-blocking connection of a client.
pub enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Workers(Vec<Worker>);

struct Worker {
    queue: mpsc::UnboundedSender<(Connection, Peer)>,
    open: Arc<AtomicUsize>,
}

/// Receives the errors of worker threads and notices when all threads have ended.
pub struct Ends(mpsc::UnboundedReceiver<anyhow::Error>);

impl Ends {
    /// Waits until a thread has failed (`Some`) or all threads have ended (`None`).
    pub async fn next(&mut self) -> Option<anyhow::Error> {
        self.0.recv().await
    }
}

impl Workers {
    /// Starts `count` threads, each with its own application created by `app`.
    pub fn start<A, F, S, B>(count: usize, app: A) -> Result<(Self, Ends)>
    where
        A: Fn() -> F + Clone + Send + 'static,
        F: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error>,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let (end, ends) = mpsc::unbounded_channel();
        let worker = |number| {
            let (queue, connections) = mpsc::unbounded_channel();
            let open = Arc::new(AtomicUsize::new(0));
            let (app, counted, end) = (app.clone(), open.clone(), end.clone());
            let work = move || {
                if let Err(error) = Runtime::new()
                    .map_err(Into::into)
                    .and_then(|runtime: Runtime| runtime.block_on(answer(app().into_factory(), connections, &counted)))
                {
                    let _ = end.send(error); // fails if the service has already stopped and no longer waits for errors
                }
            };
            thread::Builder::new().name(format!("worker {number}")).spawn(work).context("starting a thread")?;
            Ok(Worker { queue, open })
        };
        Ok((Self((0..count).map(worker).collect::<Result<_>>()?), Ends(ends)))
    }

    /// Assigns a connection to the thread with the fewest open connections.
    pub fn take(&self, connection: Connection, peer: Peer) {
        if let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) {
            worker.open.fetch_add(1, Ordering::Relaxed);
            let _ = worker.queue.send((connection, peer)); // if the thread has ended, dropping the connection closes it
        }
    }
}

/// Serves the `connections` until their channel is closed and all of them have ended.
async fn answer<S, B>(
    app: S,
    mut connections: mpsc::UnboundedReceiver<(Connection, Peer)>,
    open: &AtomicUsize,
) -> Result<()>
where
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let app = app.new_service(AppConfig::default()).await.map_err(|_| anyhow!("the application refuses its config"))?;
    let (app, config) = (Rc::new(app), ServiceConfig::default());
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            connection = connections.recv() => match connection {
                Some((connection, peer)) => {
                    tasks.spawn_local(begin(connection, peer, app.clone(), config.clone()));
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

async fn begin<S, B>(connection: Connection, peer: Peer, app: Rc<S>, config: ServiceConfig) -> io::Result<()>
where
    S: actix_service::Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody + 'static,
{
    match connection {
        Connection::Tcp(stream) => {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            // Only connections over a Unix socket have no address, and the check of the host name is skipped for them.
            // A TCP peer that has already disconnected must therefore not be served with `None`; the error ends its
            // connection.
            let address = Some(stream.peer_addr()?);
            serve(stream, peer, address, app, config).await;
        }
        Connection::Unix(stream) => {
            serve(tokio::net::UnixStream::from_std(stream)?, peer, None, app, config).await;
        }
    }
    Ok(())
}
