//! The threads that answer. Each has its own copy of the application, and the connections that it was given.

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

/// A connection that does not block.
pub enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// All threads that answer.
pub struct Workers(Vec<Worker>);

struct Worker {
    queue: mpsc::UnboundedSender<(Connection, Peer)>,
    open: Arc<AtomicUsize>,
}

/// The end of the threads.
pub struct Ends(mpsc::UnboundedReceiver<anyhow::Error>);

impl Ends {
    /// Waits until a thread has failed, or all have ended.
    pub async fn next(&mut self) -> Option<anyhow::Error> {
        self.0.recv().await
    }
}

impl Workers {
    /// Starts `count` threads, each with an application that `app` makes.
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
                    let _ = end.send(error); // nobody waits where the service has ended
                }
            };
            thread::Builder::new().name(format!("worker {number}")).spawn(work).context("starting a thread")?;
            Ok(Worker { queue, open })
        };
        Ok((Self((0..count).map(worker).collect::<Result<_>>()?), Ends(ends)))
    }

    /// Gives a connection to the thread that has the fewest.
    pub fn take(&self, connection: Connection, peer: Peer) {
        if let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) {
            worker.open.fetch_add(1, Ordering::Relaxed);
            let _ = worker.queue.send((connection, peer)); // a thread that has ended closes it
        }
    }
}

/// Answers the `connections`, until no more can come and all have ended.
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
            // Only a Unix socket has no address, and is asked by any host name: a peer that is already gone gets no answer.
            let address = Some(stream.peer_addr()?);
            serve(stream, peer, address, app, config).await;
        }
        Connection::Unix(stream) => {
            serve(tokio::net::UnixStream::from_std(stream)?, peer, None, app, config).await;
        }
    }
    Ok(())
}
