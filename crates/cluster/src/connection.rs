//! One session of a Spark Connect server: what is asked of it ends in time, can be cancelled, and fails with an error that
//! names the server and what was being done.
//!
//! The client blocks and retries by itself for many minutes. So every request runs on a thread of its own while this one
//! waits: for its end, for its time limit, for a signal, and for the server to be there at all.

use std::fmt::Display;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use common::cli::Progress;
use common::engine::{Cluster, EngineAddress, STEP_OF_VARIABLE};
use signal_hook::consts::{SIGINT, SIGTERM};
use spark_connect::row::Row;
use spark_connect::{SparkError, SparkSession};

/// How long to wait until a server takes a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a server that takes connections may need for a first answer; Spark starts a session meanwhile.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked whether the server is still there, and how often in a row it may not be.
const PULSE: Duration = Duration::from_secs(5);
const MISSED_PULSES: u32 = 2;
/// How long cancelling and saying goodbye may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);
/// Rows on their way that may wait.
const WAITING: usize = 1024;

/// A session, closed when it is dropped.
pub struct Connection {
    cluster: Cluster,
    session: Mutex<SparkSession>,
    host: String,
    progress: Arc<Mutex<Option<String>>>,
}

/// How a question ended.
type Asked = Result<(), Box<SparkError>>;

/// What a thread that asks the server sends.
enum Event<T> {
    Item(T),
    End(Asked),
}

impl Connection {
    /// Opens a session.
    ///
    /// # Errors
    /// Where nobody listens, nobody answers, or the address is wrong.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        die_with_fullprocess()?;
        let progress = Arc::default();
        let session = Mutex::new(start(&cluster.address, &progress)?);
        let host = host_and_port(&cluster.address);
        let connection = Self { cluster: cluster.clone(), session, host, progress };
        connection.greet()?;
        Ok(connection)
    }

    fn greet(&self) -> Result<()> {
        let ask = |session: &SparkSession, _: &SyncSender<Event<()>>| {
            // Not its version, for which a Sail needs a Spark beside it.
            session.sql("SELECT 1")?.collect()?;
            Ok(())
        };
        let limit = FIRST_ANSWER_LIMIT.min(self.cluster.time_limit);
        Ok(self.wait("opening a session", limit, ask, |()| Ok(()))?)
    }

    /// Where it goes, without its secrets.
    pub fn address(&self) -> &EngineAddress {
        &self.cluster.address
    }

    /// All rows of a query that has few. `what` says what for, in errors and on a terminal.
    pub fn rows(&self, what: &str, sql: String) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(what, sql, |row| {
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The row of a query that has one.
    pub fn row(&self, what: &str, sql: String) -> Result<Row> {
        self.rows(what, sql)?.pop().with_context(|| format!("{what} on {}: no answer", self.address()))
    }

    /// Shows each row of a query as it comes; of many, few are in memory at a time.
    ///
    /// A session that the server has forgotten, because nobody asked for an hour or it was started again, is replaced: no
    /// query needs what an earlier one left but [`Connection::view_of_lines`], and those are asked at once.
    pub fn each(&self, what: &str, sql: String, mut visit: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut seen = false;
        let ask = || {
            let sql = sql.clone();
            move |session: &SparkSession, rows: &SyncSender<Event<Row>>| {
                for row in session.sql(&sql)?.to_local_iterator(false)? {
                    if rows.send(Event::Item(row?)).is_err() {
                        break; // nobody waits any more
                    }
                }
                Ok(())
            }
        };
        let mut see = |row| {
            seen = true;
            visit(row)
        };
        match self.wait(what, self.cluster.time_limit, ask(), &mut see) {
            Err(Failure::SessionLost(_)) if !seen => {
                let session = start(self.address(), &self.progress)?;
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
                self.greet()?;
                Ok(self.wait(what, self.cluster.time_limit, ask(), visit)?)
            }
            ended => Ok(ended?),
        }
    }

    /// Makes the lines of a text file a view; lines end with LF alone.
    pub fn view_of_lines(&self, what: &str, name: String, path: String) -> Result<()> {
        let ask = move |session: &SparkSession, _: &SyncSender<Event<()>>| {
            let lines = session.read().format("text").option("lineSep", "\n").load(Some(&path));
            lines.create_or_replace_temp_view(&name)?;
            Ok(())
        };
        Ok(self.wait(what, self.cluster.time_limit, ask, |()| Ok(()))?)
    }

    /// Writes the rows of a query into a folder.
    pub fn write(&self, what: &str, sql: String, format: Format, mode: &'static str, folder: String) -> Result<()> {
        let ask = move |session: &SparkSession, _: &SyncSender<Event<()>>| {
            let writer = session.sql(&sql)?.write().mode(mode);
            match format {
                Format::Parquet => writer.parquet(&folder)?,
                Format::Csv => {
                    let options = [
                        ("header", "true"),
                        ("escape", "\""),
                        ("emptyValue", ""),
                        // Names keep their spaces.
                        ("ignoreLeadingWhiteSpace", "false"),
                        ("ignoreTrailingWhiteSpace", "false"),
                    ];
                    options
                        .into_iter()
                        .fold(writer, |writer, (name, value)| writer.option(name, value))
                        .csv(&folder)?;
                }
            }
            Ok(())
        };
        Ok(self.wait(what, self.cluster.time_limit, ask, |()| Ok(()))?)
    }

    /// Asks on another thread and waits for the end, the time limit, a signal, or the server's.
    fn wait<T: Send + 'static>(
        &self,
        what: &str,
        limit: Duration,
        ask: impl FnOnce(&SparkSession, &SyncSender<Event<T>>) -> Asked + Send + 'static,
        mut visit: impl FnMut(T) -> Result<()>,
    ) -> Result<(), Failure> {
        let failed = |why: &dyn Display| Failure::Other(anyhow!("{what} on {}: {why}", self.address()));
        let stop = stop_asked();
        let (sender, events) = sync_channel(WAITING);
        let session = self.session();
        thread::spawn(move || {
            let end = ask(&session, &sender);
            let _ = sender.send(Event::End(end)); // fails only where nobody waits any more
        });
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = None; // that was the question before
        let (begin, mut pulse, mut missed) = (Instant::now(), Instant::now(), 0);
        let progress = Progress::new(what);
        loop {
            if stop.load(Ordering::Relaxed) {
                self.cancel();
                return Err(failed(&"cancelled by a signal; nothing was changed"));
            }
            match events.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::Item(item)) => visit(item).inspect_err(|_| self.cancel()).map_err(Failure::Other)?,
                Ok(Event::End(Ok(()))) => return Ok(()),
                Ok(Event::End(Err(error))) => {
                    let said = words(&error);
                    let lost = LOST.iter().any(|lost| said.contains(lost));
                    return Err(if lost { Failure::SessionLost(failed(&said).into()) } else { failed(&said) });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(failed(&"the client has failed")),
                Err(RecvTimeoutError::Timeout) => {
                    progress.tell(|| {
                        let told = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        format!("{} s {}", begin.elapsed().as_secs(), told.unwrap_or_default())
                    });
                    if begin.elapsed() > limit {
                        self.cancel();
                        let why = format!("no end after {} s (\"engine_time_limit\"); cancelled", limit.as_secs_f64());
                        return Err(failed(&why));
                    }
                    if pulse.elapsed() > PULSE {
                        missed = if reach(&self.host).is_ok() { 0 } else { missed + 1 };
                        pulse = Instant::now();
                        if missed == MISSED_PULSES {
                            return Err(failed(&"the server has gone away"));
                        }
                    }
                }
            }
        }
    }

    fn session(&self) -> SparkSession {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the server to stop whatever runs, and does not insist.
    fn cancel(&self) {
        self.briefly(|session| {
            session.interrupt_all()?;
            Ok(())
        });
    }

    fn briefly(&self, ask: impl FnOnce(&SparkSession) -> Asked + Send + 'static) {
        let (sender, done) = sync_channel(1);
        let session = self.session();
        thread::spawn(move || {
            let _ = ask(&session);
            let _ = sender.send(());
        });
        let _ = done.recv_timeout(FAREWELL_LIMIT);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.briefly(|session| Ok(session.stop()?));
    }
}

/// Why a question has no answer.
enum Failure {
    /// The server does not know the session.
    SessionLost(anyhow::Error),
    Other(anyhow::Error),
}

/// What a server says of a session that it does not know.
const LOST: [&str; 3] = ["SESSION_NOT_FOUND", "SESSION_CLOSED", "SESSION_CHANGED"];

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::SessionLost(error) | Failure::Other(error) => error,
        }
    }
}

/// Starts a session, whose progress is told to `progress`; nobody has answered yet.
fn start(address: &EngineAddress, progress: &Arc<Mutex<Option<String>>>) -> Result<SparkSession> {
    reach(&host_and_port(address))
        .with_context(|| format!("{address} cannot be reached; is the Spark Connect server running?"))?;
    // The client's own words about an address repeat its parameters, and one of them is the token.
    let session = SparkSession::builder().remote(address.with_secrets()).get_or_create().map_err(|_| {
        anyhow!("{address} is refused: a parameter is no key=value, or a token is sent without use_ssl=true")
    })?;
    let told = progress.clone();
    session.register_progress_handler(move |message| {
        let (mut tasks, mut done, mut bytes) = (0, 0, 0);
        for stage in &message.stages {
            tasks += stage.num_tasks;
            done += stage.num_completed_tasks;
            bytes += stage.input_bytes_read;
        }
        if tasks > 0 {
            let text = format!("{done} of {tasks} tasks, {:.1} MB read", bytes as f64 / 1e6);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    });
    Ok(session)
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Typed columns.
    Parquet,
    /// Text with a header in every part.
    Csv,
}

/// The engine's message without the stack of its functions.
fn words(error: &SparkError) -> String {
    let message = if error.message.is_empty() { error.get_message() } else { error.message.clone() };
    let message = message.split("\n\nJVM stacktrace").next().unwrap_or_default().split("\nJVM stacktrace").next();
    message.unwrap_or_default().trim().chars().take(2000).collect()
}

fn host_and_port(address: &EngineAddress) -> String {
    let text = address.to_string();
    let host = text.strip_prefix("sc://").unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { host.to_owned() } else { format!("{host}:15002") }
}

/// Whether somebody listens there.
fn reach(host: &str) -> Result<()> {
    let mut last = anyhow!("the name {host} has no address");
    for address in host.to_socket_addrs().with_context(|| format!("resolving {host}"))? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => last = anyhow!(error),
        }
    }
    Err(last)
}

/// Whether SIGINT or SIGTERM has come. From the first question on they no longer end the process by themselves.
fn stop_asked() -> &'static AtomicBool {
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    STOP.get_or_init(|| {
        let stop = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM] {
            // Where that is refused the signal ends the process, as it does without.
            let _ = signal_hook::flag::register(signal, stop.clone());
        }
        stop
    })
}

/// A step that fullprocess has started ends with it, and what it has asked for as well.
fn die_with_fullprocess() -> Result<()> {
    let Ok(parent) = std::env::var(STEP_OF_VARIABLE) else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let here = rustix::process::getppid().map(|id| id.as_raw_nonzero().to_string());
    if here.as_deref() != Some(&parent) {
        bail!("fullprocess, which has started this step, is gone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(address: &str) -> Cluster {
        Cluster {
            address: EngineAddress::parse(address).unwrap(),
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
