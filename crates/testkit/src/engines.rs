//! Spark Connect servers on loopback: Sail, Apache Spark in one process, and a standalone Spark cluster whose workers
//! can be killed.
//!
//! Each is a process group that ends when its value is dropped, or, if the test itself is killed, when a pipe closes.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::skipped;

/// Time limit for a server to start. Java starts slowly on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// The engine of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Sail, from the package `pysail`.
    Sail,
    /// Apache Spark, from the package `pyspark`; needs Java.
    Spark,
}

/// A running Spark Connect server.
pub struct EngineServer {
    group: Group,
    port: u16,
    command: Command,
}

impl EngineServer {
    /// Starts a server. `None`, with a message, if it is not installed.
    pub fn start(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Sail => Self::sail(&[]),
            Engine::Spark => Self::spark("local[2]", &[]),
        }
    }

    /// Starts a Sail with additional environment variables.
    pub(crate) fn sail(environment: &[(&str, &str)]) -> Option<Self> {
        let sail = program("sail", "pysail from PyPI")?;
        Some(Self::listening(|port| {
            let mut command = Command::new(&sail);
            command.args(["spark", "server", "--ip", "127.0.0.1", "--port", &port.to_string()]);
            command.envs(environment.iter().copied());
            command
        }))
    }

    /// Starts a Spark that drops a session after two seconds without a request.
    pub fn forgetful() -> Option<Self> {
        let manager = "spark.connect.session.manager";
        let settings = [format!("{manager}.defaultSessionTimeout=2s"), format!("{manager}.maintenanceInterval=1s")];
        Self::spark("local[2]", &settings.each_ref().map(String::as_str))
    }

    /// Starts a Spark that ends every stream of responses after one second or one megabyte, and expects the client to
    /// continue it.
    pub fn impatient() -> Option<Self> {
        let sender = "spark.connect.execute.reattachable.senderMaxStream";
        let settings = [format!("{sender}Duration=1s"), format!("{sender}Size=1m")];
        Self::spark("local[2]", &settings.each_ref().map(String::as_str))
    }

    pub(crate) fn spark(master: &str, settings: &[&str]) -> Option<Self> {
        program("java", "default-jre-headless")?;
        let submit = program("spark-submit", "pyspark from PyPI")?;
        Some(Self::listening(|port| {
            let mut command = Command::new(&submit);
            command.args(["--master", master, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]);
            let port = format!("spark.connect.grpc.binding.port={port}");
            let always = ["spark.connect.grpc.binding.address=127.0.0.1", "spark.ui.enabled=false", &port];
            for setting in always.iter().chain(&["spark.sql.shuffle.partitions=4"]).chain(settings) {
                command.args(["--conf", setting]);
            }
            command.arg("spark-internal").env("SPARK_LOCAL_IP", "127.0.0.1");
            command
        }))
    }

    fn listening(command: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let command = command(port);
        let group = Group::start(&command);
        group.wait_for(port);
        Self { group, port, command }
    }

    /// Ends the server with SIGKILL and starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
        self.group = Group::start(&self.command);
        self.group.wait_for(self.port);
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        format!("sc://127.0.0.1:{}", self.port)
    }

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends SIGKILL to the server, which simulates a power failure.
    pub fn kill(&self) {
        self.group.signal("KILL");
    }

    /// Sends SIGSTOP to the server: it accepts connections and does not answer.
    pub fn freeze(&self) {
        self.group.signal("STOP");
    }
}

/// A Spark master, two workers with one processor each, and a Spark Connect server that runs its tasks there.
pub struct SparkCluster {
    /// The server that receives the queries.
    pub server: EngineServer,
    workers: Vec<Group>,
    _master: Group,
}

impl SparkCluster {
    /// Starts the cluster. `None`, with a message, if Spark is not installed.
    pub fn start() -> Option<Self> {
        let class = program("spark-class", "pyspark from PyPI")?;
        program("java", "default-jre-headless")?;
        let start = |name: &str, arguments: &str| {
            let mut command = Command::new(&class);
            command.arg(name).args(arguments.split(' ')).env("SPARK_LOCAL_IP", "127.0.0.1");
            Group::start(&command)
        };
        let (port, page) = (free_port(), free_port());
        let address = format!("--host 127.0.0.1 --port {port} --webui-port {page}");
        let master = start("org.apache.spark.deploy.master.Master", &address);
        master.wait_for(port);
        let url = format!("spark://127.0.0.1:{port}");
        let workers = (0..2)
            .map(|_| {
                let page = free_port();
                let resources = format!("--host 127.0.0.1 --cores 1 --memory 1g --webui-port {page} {url}");
                let worker = start("org.apache.spark.deploy.worker.Worker", &resources);
                worker.wait_for(page);
                worker
            })
            .collect();
        let settings = ["spark.executor.memory=600m", "spark.driver.host=127.0.0.1"];
        Some(Self { server: EngineServer::spark(&url, &settings)?, workers, _master: master })
    }

    /// Sends SIGKILL to one worker and the processes that run on it.
    pub fn kill_worker(&self) {
        self.workers[0].signal("KILL");
    }
}

/// A program and its child processes, in a temporary folder of their own.
pub(crate) struct Group {
    shell: Child,
    folder: TempDir,
}

#[expect(clippy::unwrap_used, reason = "a test that cannot start its server has failed")]
impl Group {
    pub(crate) fn start(command: &Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The shell reads from a pipe on which nothing is ever written. When the test has ended, the pipe closes, and
        // the shell ends together with the group.
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" </dev/null & cat >/dev/null; kill -9 0", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = File::create(folder.path().join("log")).unwrap();
        shell.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let shell = shell.current_dir(folder.path()).process_group(0).spawn().unwrap();
        Self { shell, folder }
    }

    pub(crate) fn wait_for(&self, port: u16) {
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begin.elapsed() < TIME_LIMIT, "nobody listens on port {port}: {}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill").args(["-s", signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.shell.wait();
    }
}

#[expect(clippy::unwrap_used, reason = "a machine without a free port runs no test")]
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Returns the path of a program; `None`, with a message, if `package` is not installed.
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed ({package})"));
    }
    found
}
