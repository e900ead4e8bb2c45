//! A session of a Spark Connect server. Its requests have a time limit, can be cancelled, and fail with an error that
//! names the server and the operation.
//!
//! Requests run on a separate thread of the connection, which also watches whether the server is still there. The
//! calling thread waits for rows and for the end of the answer, and at the same time watches the time limit and
//! signals.

use std::fmt::Display;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use common::cli::Progress;
use common::config::cluster::{Cluster, EngineAddress};
use signal_hook::consts::{SIGINT, SIGTERM};
use spark_connect_proto::Plan;
use spark_connect_proto::execute_plan_response::ExecutionProgress;
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::spark::client::Client;
use crate::spark::endpoint::Endpoint;
use crate::spark::execution::{self, Broken, Event, Sink, Unwanted};
use crate::spark::heartbeat;
use crate::spark::plan::{self, Existing, Files, Format};
use crate::spark::row::{self, Row};
use crate::spark::tls::{self, Trust};
use crate::spark::view::{View, Views};

/// Time limit for a server to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for the first answer of a server that accepts connections. Spark starts a session during this time.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Maximum number of attempts to open a session, because a server may lose a session while it is opened.
const MAX_ATTEMPTS: u32 = 3;
/// Time limit for cancelling an execution and for closing the session.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// Maximum number of received messages in the queue. Each has at most a few MB.
const QUEUE_LENGTH: usize = 4;

/// A session that is closed when dropped.
pub struct Connection {
    cluster: Cluster,
    client: Mutex<Client>,
    views: Views,
    lines_know_their_file: bool,
    /// `None` only while the connection is dropped.
    runtime: Option<Runtime>,
}

/// A message of the thread that receives an answer. The permit frees a slot of the queue when it is dropped.
enum Message {
    Event(Event, OwnedSemaphorePermit),
    End(Result<(), Broken>),
}

/// Passes events to the waiting thread through a bounded queue.
struct EventQueue {
    events: mpsc::Sender<Message>,
    permits: Arc<Semaphore>,
}

impl Sink for EventQueue {
    async fn send(&mut self, event: Event) -> Result<(), Unwanted> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Unwanted)?;
        self.events.send(Message::Event(event, permit)).map_err(|_| Unwanted)
    }
}

impl Connection {
    /// Opens a session.
    ///
    /// # Errors
    /// Fails if the server cannot be reached or does not answer, or if the address is invalid.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        let address = &cluster.address;
        let endpoint = Endpoint::parse(address)?;
        let trust = Trust::new(&endpoint, cluster.ca_path.as_deref())?;
        let reached = check_reachable(&endpoint.authority)
            .with_context(|| format!("{address} cannot be reached; is the Spark Connect server running?"))?;
        if !endpoint.tls {
            tls::check_clear_text(reached, CONNECT_LIMIT).with_context(|| format!("no connection to {address}"))?;
        }
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let session_id = endpoint.session_id.clone().unwrap_or_else(Client::new_id);
        let client = match Client::connect(runtime.handle(), &endpoint, trust, session_id) {
            Ok(client) => client,
            Err(error) => {
                runtime.shutdown_background(); // as in `drop`
                return Err(error.context(format!("no connection to {address}")));
            }
        };
        let mut connection = Self {
            cluster: cluster.clone(),
            client: Mutex::new(client),
            views: Views::default(),
            lines_know_their_file: false,
            runtime: Some(runtime),
        };
        connection.open_session()?;
        // An engine that lacks the function refuses the query.
        let asked = connection.row("opening a session", "SELECT input_file_name()".to_owned());
        connection.lines_know_their_file = asked.is_ok();
        Ok(connection)
    }

    fn open_session(&self) -> Result<()> {
        let limit = FIRST_ANSWER_LIMIT.min(self.cluster.time_limit);
        // The version is not requested, because Sail answers that request only if a Spark installation is available.
        let plan = plan::query("SELECT 1".to_owned(), Vec::new());
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.execute("opening a session", limit, plan.clone(), |_| Ok(())) {
                // A server with a short session timeout may drop a session while it starts.
                Err(Failure::SessionLost(_)) if attempts < MAX_ATTEMPTS => self.lock().renew(),
                ended => return Ok(ended?),
            }
        }
    }

    /// Returns the address of the server; its display contains no secrets.
    pub fn address(&self) -> &EngineAddress {
        &self.cluster.address
    }

    /// Returns whether the engine can determine the file of each line. Spark can; Sail can do so only for whole file
    /// contents.
    pub fn lines_know_their_file(&self) -> bool {
        self.lines_know_their_file
    }

    /// Creates a view by whose name queries of this connection can read the files, until it is dropped.
    pub fn view(&self, files: Files) -> View {
        self.views.add(files)
    }

    /// Returns all rows of a query with a small result. `what` describes the operation in errors and on a terminal.
    pub fn rows(&self, what: &str, sql: String) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(what, sql, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Returns the row of a query that has exactly one.
    pub fn row(&self, what: &str, sql: String) -> Result<Row> {
        self.rows(what, sql)?.pop().with_context(|| format!("{what} on {}: no answer", self.address()))
    }

    /// Calls `visit` with each row of a query as it arrives; only few rows are in memory at a time.
    pub fn each(&self, what: &str, sql: String, visit: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let reads = self.views.named_in(&sql);
        let what = plan::with_storage(what, &sql, &reads, None);
        self.execute_in_session(&what, plan::query(sql, reads), visit)
    }

    /// Writes the rows of a query into a folder.
    pub fn write(&self, what: &str, sql: String, format: Format, existing: Existing, folder: String) -> Result<()> {
        let reads = self.views.named_in(&sql);
        let what = plan::with_storage(what, &sql, &reads, Some(&folder));
        self.execute_in_session(&what, plan::write(sql, reads, format, existing, folder), |_| Ok(()))
    }

    /// Executes a plan. If the server no longer knows the session, because it was idle for an hour or the server was
    /// restarted, a new one is opened. This is safe because no plan depends on the state left by an earlier one.
    fn execute_in_session(&self, what: &str, plan: Plan, mut visit: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut seen = false;
        let mut see = |row| {
            seen = true;
            visit(row)
        };
        match self.execute(what, self.cluster.time_limit, plan.clone(), &mut see) {
            Err(Failure::SessionLost(_)) if !seen => {
                self.lock().renew();
                self.open_session()?;
                Ok(self.execute(what, self.cluster.time_limit, plan, visit)?)
            }
            ended => Ok(ended?),
        }
    }

    /// Executes a plan and waits until the answer is complete, the time limit is reached, a signal arrives, or the
    /// server is gone.
    fn execute(
        &self,
        what: &str,
        limit: Duration,
        plan: Plan,
        mut visit: impl FnMut(Row) -> Result<()>,
    ) -> Result<(), Failure> {
        let failed = |why: &dyn Display| anyhow!("{what} on {}: {why}", self.address());
        let stop = stop_asked();
        let running = self.start(plan).map_err(Failure::Other)?;
        let begin = Instant::now();
        let (progress, mut status) = (Progress::new(what), String::new());
        loop {
            let message = running.events.recv_timeout(Duration::from_millis(50));
            if stop.load(Ordering::Relaxed) {
                running.cancel();
                return Err(Failure::Other(failed(&"cancelled by a signal; no output was changed")));
            }
            if begin.elapsed() > limit && !matches!(message, Ok(Message::End(_))) {
                running.cancel();
                let why =
                    format!("not finished after {} s (key \"engine_time_limit\"); cancelled", limit.as_secs_f64());
                return Err(Failure::Other(failed(&why)));
            }
            match message {
                Ok(Message::Event(Event::Progress(message), _)) => status = progress_text(&message).unwrap_or(status),
                Ok(Message::Event(Event::Rows(batch), permit)) => {
                    let rows = row::rows(&batch.data).and_then(|rows| match rows.len() as i64 == batch.row_count {
                        true => Ok(rows),
                        false => bail!("{} rows arrived where {} were announced", rows.len(), batch.row_count),
                    });
                    let visited = rows
                        .map_err(|error| failed(&format_args!("{error:#}")))
                        .and_then(|rows| rows.into_iter().try_for_each(&mut visit));
                    if let Err(error) = visited {
                        running.cancel();
                        return Err(Failure::Other(error));
                    }
                    drop(permit);
                }
                Ok(Message::End(Ok(()))) => return Ok(()),
                Ok(Message::End(Err(Broken::Incomplete(why)))) => {
                    running.cancel();
                    return Err(Failure::Other(failed(&why)));
                }
                Ok(Message::End(Err(Broken::Gone(why)))) => return Err(Failure::Other(failed(&why))),
                Ok(Message::End(Err(Broken::Refused(status)))) => {
                    let error = failed(&execution::message(&status));
                    return Err(if is_lost(&status) { Failure::SessionLost(error) } else { Failure::Other(error) });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Other(failed(&"the thread that receives the answer exited unexpectedly")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    progress.show_text(|| format!("{} s {status}", begin.elapsed().as_secs()));
                }
            }
        }
    }

    /// Starts the execution of a plan on the runtime.
    fn start(&self, plan: Plan) -> Result<Running<'_>> {
        let (sender, events) = mpsc::channel();
        let (client, operation) = (self.lock().clone(), Client::new_id());
        let name = operation.clone();
        let mut queue = EventQueue { events: sender, permits: Arc::new(Semaphore::new(QUEUE_LENGTH)) };
        self.runtime()?.spawn(async move {
            let end = tokio::select! {
                end = execution::execute(&client, plan, &name, &mut queue) => end,
                why = heartbeat::watch(&client) => Err(Broken::Gone(why)),
            };
            let _ = queue.events.send(Message::End(end)); // fails only if no thread is waiting any more
            let _ = client.release(&name).await; // otherwise the server forgets it after some minutes
        });
        Ok(Running { connection: self, operation, events })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("the connection is closed")
    }

    /// Sends a request whose answer is not needed, and waits at most [`CLOSE_LIMIT`] for it to be delivered.
    fn send_with_limit<F: Future<Output = Result<(), Status>> + Send + 'static>(&self, ask: impl FnOnce(Client) -> F) {
        let (sender, done) = mpsc::channel();
        let asked = ask(self.lock().clone());
        if let Ok(runtime) = self.runtime() {
            runtime.spawn(async move {
                let _ = asked.await;
                let _ = sender.send(());
            });
            let _ = done.recv_timeout(CLOSE_LIMIT);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.send_with_limit(|client| async move { client.release_session().await });
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // does not block, which is not permitted on a thread of another runtime
        }
    }
}

/// An execution whose events are awaited.
struct Running<'a> {
    connection: &'a Connection,
    operation: String,
    events: mpsc::Receiver<Message>,
}

impl Running<'_> {
    /// Asks the server to stop the execution; errors are ignored.
    fn cancel(&self) {
        let operation = self.operation.clone();
        self.connection.send_with_limit(|client| async move {
            client.interrupt(&operation).await?;
            client.release(&operation).await
        });
    }
}

/// The reason why a request has no answer.
enum Failure {
    /// The server does not know the session.
    SessionLost(anyhow::Error),
    Other(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::SessionLost(error) | Failure::Other(error) => error,
        }
    }
}

/// Returns whether an error means that the server does not know the session.
fn is_lost(status: &Status) -> bool {
    ["SESSION_NOT_FOUND", "SESSION_CLOSED", "SESSION_CHANGED"].iter().any(|word| status.message().contains(word))
}

/// Formats the progress of an execution; `None` while it is unknown.
fn progress_text(progress: &ExecutionProgress) -> Option<String> {
    let sum = |of: fn(&spark_connect_proto::execute_plan_response::execution_progress::StageInfo) -> i64| -> i64 {
        progress.stages.iter().map(of).sum()
    };
    let (tasks, done) = (sum(|stage| stage.num_tasks), sum(|stage| stage.num_completed_tasks));
    let megabytes = sum(|stage| stage.input_bytes_read) as f64 / 1e6;
    (tasks > 0).then(|| format!("{done} of {tasks} tasks, {megabytes:.1} MB read"))
}

/// Checks that the server accepts a TCP connection, and returns it.
fn check_reachable(host: &str) -> Result<TcpStream> {
    let mut last = anyhow!("the name {host} has no address");
    for address in host.to_socket_addrs().with_context(|| format!("resolving {host}"))? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = anyhow!(error),
        }
    }
    Err(last)
}

/// Returns a flag that is set when SIGINT or SIGTERM has arrived. From the first request on, these signals no longer
/// end the process by themselves.
fn stop_asked() -> &'static AtomicBool {
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    STOP.get_or_init(|| {
        let stop = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM] {
            // If the registration fails, the signal ends the process as usual.
            let _ = signal_hook::flag::register(signal, stop.clone());
        }
        stop
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(address: &str) -> Cluster {
        Cluster {
            address: EngineAddress::parse(address).unwrap(),
            ca_path: None,
            time_limit: Duration::from_secs(5),
            output: String::new(),
            dataset_csv: false,
        }
    }

    fn refused(address: &str) -> String {
        format!("{:#}", Connection::open(&cluster(address)).err().unwrap())
    }

    #[test]
    fn a_server_that_is_away_is_named_at_once() {
        let error = refused("sc://127.0.0.1:1");
        assert!(error.contains("sc://127.0.0.1:1 cannot be reached") && error.contains("refused"), "{error}");
        assert!(refused("sc://no-such-host.invalid").contains("resolving no-such-host.invalid:15002"));
    }

    #[test]
    fn somebody_who_listens_and_never_answers_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let error = refused(&format!("sc://{}", listener.local_addr().unwrap()));
        assert!(error.contains("opening a session") && error.contains("5 s"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn an_error_about_the_address_does_not_repeat_the_token() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = refused(&format!("sc://127.0.0.1:{port}/;token=geheim=1"));
        assert!(error.contains("is refused") && !error.contains("geheim"), "{error}");
    }
}
