//! Accepts connections: binds TCP addresses and Unix sockets, and raises the limit of open files for them.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use std::{fs, io, iter};

use anyhow::{Context, Result, bail};
use common::config::service::Bind;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::sleep;

use crate::http::Peers;
use crate::limits::{BACKLOG, MOST_CONNECTIONS};
use crate::workers::{Connection, Workers};

/// Number of open files that the service needs in addition to its connections.
const OTHER_FILES: u64 = 200;

/// Pause after the system has failed to accept a connection, for example for lack of memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Raises the limit of open files as far as the system permits; returns the number of connections that this allows.
pub fn most_connections() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).clamp(1, MOST_CONNECTIONS)
}

/// The addresses and sockets on which the service listens.
pub struct Listeners {
    listeners: Vec<Listener>,
    /// Index of the listener that is polled first. It changes each time, so that a busy listener does not starve the
    /// others.
    first: usize,
    sockets: Sockets,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listeners {
    /// Listens on all addresses in `binds`.
    pub fn bind(binds: &[Bind]) -> Result<Self> {
        let mut sockets = Sockets::default();
        let mut listen = |bind: &Bind| -> Result<_> {
            Ok(match bind {
                Bind::Tcp(address) => Listener::Tcp(listen(*address)?),
                Bind::Unix(path) => {
                    sockets.claim(path)?;
                    Listener::Unix(UnixListener::bind(path)?, path.clone())
                }
            })
        };
        let failed =
            |bind: &Bind| format!("listening on {bind}; another server may be using it (choose another with --bind)");
        let listeners = binds.iter().map(|bind| listen(bind).with_context(|| failed(bind))).collect::<Result<_>>()?;
        Ok(Self { listeners, first: 0, sockets })
    }

    /// The URL of each listener.
    pub fn urls(&self) -> Result<Vec<String>> {
        let url = |listener: &Listener| match listener {
            Listener::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Listener::Unix(_, path) => Ok(Bind::Unix(path.clone()).to_string()),
        };
        self.listeners.iter().map(url).collect()
    }

    /// Passes new connections to the `workers`; never returns.
    pub async fn accept(&mut self, peers: &Arc<Peers>, workers: &Workers) {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(connection) => workers.assign(connection, peers.admit().await),
                // The peer has already disconnected.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!("a connection cannot be accepted: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Passes on the connections that the system has already established, and stops listening. Returns the Unix
    /// sockets, whose files are removed when the value is dropped.
    pub async fn finish(self, peers: &Arc<Peers>, workers: &Workers) -> Sockets {
        for listener in self.listeners {
            for connection in listener.remaining().unwrap_or_default() {
                workers.assign(connection, peers.admit().await);
            }
        }
        self.sockets
    }

    fn poll_accept(&mut self, cx: &mut task::Context) -> Poll<io::Result<Connection>> {
        self.first = (self.first + 1) % self.listeners.len().max(1);
        let (before, after) = self.listeners.split_at(self.first);
        for listener in after.iter().chain(before) {
            // Worker threads have their own runtimes, so the stream is detached from this one.
            let accepted = match listener {
                Listener::Tcp(listener) => {
                    listener.poll_accept(cx).map(|accepted| Ok(Connection::Tcp(accepted?.0.into_std()?)))
                }
                Listener::Unix(listener, _) => {
                    listener.poll_accept(cx).map(|accepted| Ok(Connection::Unix(accepted?.0.into_std()?)))
                }
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

impl Listener {
    /// Connections that the system has established but that the runtime may not have reported yet. Accepts no more than
    /// the backlog can hold, because new connections may arrive as fast as they are accepted.
    fn remaining(self) -> io::Result<Vec<Connection>> {
        let accept: Box<dyn Fn() -> io::Result<Connection>> = match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                Box::new(move || listener.accept().map(|(stream, _)| Connection::Tcp(stream)))
            }
            Self::Unix(listener, _) => {
                let listener = listener.into_std()?;
                Box::new(move || listener.accept().map(|(stream, _)| Connection::Unix(stream)))
            }
        };
        Ok(iter::repeat_with(accept).take(BACKLOG as usize).map_while(Result::ok).collect())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The Unix sockets on which the service listens; their files are removed when this value is dropped.
#[derive(Default)]
pub struct Sockets(Vec<PathBuf>);

impl Sockets {
    /// Prepares `path` for a new socket: removes a socket that a killed server has left behind.
    ///
    /// # Errors
    /// Returns an error if the socket is in use or if `path` is another kind of file.
    pub fn claim(&mut self, path: &Path) -> Result<()> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("{} exists and is not a socket", path.display());
            }
            if UnixStream::connect(path).is_ok() {
                bail!("a server is already listening on {}", path.display());
            }
            fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
        }
        self.0.push(path.to_owned());
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path); // a file that cannot be removed here is removed at the next start
        }
    }
}
