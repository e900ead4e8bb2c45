//! Taking connections: addresses, Unix sockets, and as many files as they need.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::service::Bind;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::time::sleep;

use crate::http::Peers;
use crate::limits::MOST_CONNECTIONS;
use crate::workers::{Connection, Workers};

/// Files that the service needs beside its connections.
const OTHER_FILES: u64 = 200;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long to wait after the system has refused a connection, such as for want of memory.
const REFUSED: Duration = Duration::from_millis(100);

/// Raises the limit of open files to what the system grants; returns how many connections that allows.
pub fn most_connections() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).clamp(1, MOST_CONNECTIONS)
}

/// The places where the service listens.
pub struct Listeners {
    listeners: Vec<Listener>,
    /// Which of them is asked first, so that a busy one does not keep the others from being asked.
    first: usize,
    _sockets: Sockets,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listeners {
    /// Listens at all `places`.
    pub fn bind(places: &[Bind]) -> Result<Self> {
        let mut sockets = Sockets::default();
        let mut bind = |place: &Bind| -> Result<_> {
            Ok(match place {
                Bind::Tcp(address) => Listener::Tcp(listen(*address)?),
                Bind::Unix(path) => {
                    sockets.claim(path)?;
                    Listener::Unix(UnixListener::bind(path)?, path.clone())
                }
            })
        };
        let busy = |place: &Bind| format!("listening on {place}; is another server there? (--bind takes another)");
        let listeners = places.iter().map(|place| bind(place).with_context(|| busy(place))).collect::<Result<_>>()?;
        Ok(Self { listeners, first: 0, _sockets: sockets })
    }

    /// The address of each.
    pub fn urls(&self) -> Result<Vec<String>> {
        let url = |listener: &Listener| match listener {
            Listener::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Listener::Unix(_, path) => Ok(Bind::Unix(path.clone()).to_string()),
        };
        self.listeners.iter().map(url).collect()
    }

    /// Passes connections to the `workers`, and never ends.
    pub async fn accept(&mut self, peers: &Arc<Peers>, workers: &Workers) {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(connection) => workers.take(connection, peers.admit().await),
                // The peer has gone away already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!("a connection cannot be accepted: {error}");
                    sleep(REFUSED).await;
                }
            }
        }
    }

    /// Passes on the connections that the system has made already, and listens no more. Returns the names of the sockets,
    /// which are removed with the value.
    pub async fn finish(self, peers: &Arc<Peers>, workers: &Workers) -> Sockets {
        for listener in self.listeners {
            for connection in listener.remaining().unwrap_or_default() {
                workers.take(connection, peers.admit().await);
            }
        }
        self._sockets
    }

    fn poll_accept(&mut self, cx: &mut Waking) -> Poll<io::Result<Connection>> {
        self.first = (self.first + 1) % self.listeners.len().max(1);
        let (before, after) = self.listeners.split_at(self.first);
        for listener in after.iter().chain(before) {
            // The thread that answers has a runtime of its own, so the stream leaves this one's.
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
    /// What the system has made and the runtime may not know of yet.
    fn remaining(self) -> io::Result<Vec<Connection>> {
        fn all<S>(accept: impl FnMut() -> io::Result<S>) -> impl Iterator<Item = S> {
            // No more than waited: others may come as fast as these are taken.
            std::iter::repeat_with(accept).take(BACKLOG as usize).map_while(Result::ok)
        }
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                all(|| listener.accept())
                    .map(|(stream, _)| stream.set_nonblocking(true).map(|()| Connection::Tcp(stream)))
                    .collect()
            }
            Self::Unix(listener, _) => {
                let listener = listener.into_std()?;
                all(|| listener.accept())
                    .map(|(stream, _)| stream.set_nonblocking(true).map(|()| Connection::Unix(stream)))
                    .collect()
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The Unix sockets that are listened on; their files are removed with this value.
#[derive(Default)]
pub struct Sockets(Vec<PathBuf>);

impl Sockets {
    /// Makes room for a socket at `path`: what a killed server has left is removed, nothing that is in use and no other
    /// file.
    pub fn claim(&mut self, path: &Path) -> Result<()> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("{} is there and is no socket", path.display());
            }
            if UnixStream::connect(path).is_ok() {
                bail!("a server answers there");
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
            let _ = fs::remove_file(path); // the next start removes it too
        }
    }
}
