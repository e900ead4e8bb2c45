//! Private database servers for tests, from the installed PostgreSQL and MariaDB.
//!
//! No library is used: postgresql_embedded downloads a server and knows only PostgreSQL, and testcontainers needs Docker.
//! Neither can freeze a server, or deletes its data if the test process is killed.

use std::collections::hash_map::RandomState;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{runs_as_root, skipped};

/// Time limit for a server to answer after its start, and for a client to connect.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The database system of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, in the newest version that is installed.
    Postgres,
    /// The MariaDB server, which uses MySQL's protocol.
    MariaDb,
}

/// A private database server on 127.0.0.1, with its data in a temporary folder. When it is dropped, and also when the
/// test process ends or is killed, the server stops and the folder is deleted.
///
/// It commits to the operating system and not to the disk: committed data survive [`DatabaseServer::kill`], and no test
/// waits for a disk. Its methods panic if they fail, like those of [`crate::Workspace`].
pub struct DatabaseServer {
    kind: Kind,
    port: u16,
    path: OsString,
    folder: PathBuf,
    keeper: Mutex<Keeper>,
}

/// The shell that runs [`KEEPER`]. It is the parent of the server, receives commands, and ends shortly after the test
/// process.
struct Keeper {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

/// A shell script that keeps one server until its stdin closes, which the kernel does when the test process ends for
/// any reason; the script then kills the server and deletes the folder. It runs as the server's user, so that it may do
/// both.
///
/// The processes of PostgreSQL leave their parent's process group, so they are found by their parent. SIGKILL leaves
/// PostgreSQL's lock behind, a few bytes of System V shared memory, which is recorded only in postmaster.pid.
const KEEPER: &str = r#"
trap '' PIPE # the test process may be gone when it is answered
trap exit HUP INT TERM
server=
is() { grep -qs "$2" "/proc/$1/status"; }
runs() { [ "$server" ] && is $server "^PPid:.$$\$" && is $server '^State:.[^ZX]'; }
all() { echo $server; grep -lsx "PPid:.$server" /proc/[0-9]*/status | tr -dc '0-9\n'; }
freeze() {
    kill -STOP $server # first, so that it makes no further children
    while is $server '^State:.[^TtZX]'; do sleep 0.01; done
    kill -STOP $(all)
}
halt() {
    if runs; then
        freeze
        pids=$(all)
        kill -KILL $pids
        wait $server
        for pid in $pids; do while is $pid '^State:.[^ZX]'; do sleep 0.01; done; done
    fi
    server=
}
end() {
    trap '' HUP INT TERM
    halt
    sed -n '7s/.* //p' data/postmaster.pid | xargs -r ipcrm -m
    cd / && rm -rf "$folder"
}
name=testkit-database.XXXXXX
folder=$(mktemp -d "$TMPDIR/$name" || mktemp -d "/tmp/$name") || exit # the first may be closed to the server's user
cd "$folder" || exit
trap end EXIT
exec 2>log
TMPDIR=$folder
echo "$folder"
if prepare >&2; then echo prepared; else echo failed; fi
while read -r order port; do
    case $order in
    start) run </dev/null >&2 & server=$!; echo started ;;
    ask) if runs; then echo runs; else echo ended; fi ;;
    kill) halt; echo killed ;;
    freeze) freeze; echo frozen ;;
    thaw) kill -CONT $(all); echo thawed ;;
    esac
done
"#;

/// The commands for PostgreSQL. Full-page writes stay enabled, because SIGKILL can interrupt a write between two memory
/// pages. There is no socket file, whose path could be too long, and the shared memory is in memory-mapped files, so
/// that nothing of the server is outside the folder.
const POSTGRES: &str = r#"
prepare() {
    echo "$PASSWORD" >password
    initdb -D data -U tester --pwfile=password --auth=scram-sha-256 -E UTF8 --locale=C --no-sync --no-instructions
}
run() {
    exec postgres -D data -c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c fsync=off \
        -c dynamic_shared_memory_type=mmap -c max_connections=300
}
"#;

/// The commands for MariaDB. The socket's name is relative to the data folder, so its path is never too long.
const MARIADB: &str = r#"
prepare() {
    cat >users.sql <<END
CREATE USER IF NOT EXISTS tester@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO tester@'127.0.0.1' WITH GRANT OPTION;
END
    mkdir data
    mariadb-install-db --no-defaults --datadir="$folder/data" --skip-test-db --skip-name-resolve --debug-no-sync
}
run() {
    exec mariadbd --no-defaults --datadir="$folder/data" --socket=socket --pid-file=pid \
        --bind-address=127.0.0.1 --port=$port --skip-name-resolve --skip-ssl --character-set-server=utf8mb4 \
        --init-file="$folder/users.sql" --innodb-flush-log-at-trx-commit=2 --debug-no-sync --max-connections=300
}
"#;

impl Kind {
    const fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MariaDb => "mariadb-server",
        }
    }

    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres", "initdb", "psql"],
            Self::MariaDb => &["mariadbd", "mariadb-install-db", "mariadb"],
        }
    }

    /// Returns a PATH that contains all programs of the server; `None` if one is not installed.
    fn path(self) -> Option<OsString> {
        let usual = env::var_os("PATH").unwrap_or_default();
        let usual = env::split_paths(&usual).chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
        let usual: Vec<PathBuf> = usual.collect();
        let newest_first = if matches!(self, Self::Postgres) { postgres_folders() } else { Vec::new() };
        let paths = newest_first.into_iter().map(|first| [vec![first], usual.clone()].concat());
        let mut paths = paths.chain([usual.clone()]);
        let found = |path: &[PathBuf], program| path.iter().any(|folder| folder.join(program).is_file());
        let path = paths.find(|path| self.programs().iter().all(|program| found(path, program)))?;
        env::join_paths(path).ok()
    }

    /// Returns the account (user and group id) that runs the server if the tests run as root, because PostgreSQL
    /// refuses root. The Debian package creates it.
    fn account(self) -> Option<(u32, u32)> {
        let name = match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mysql",
        };
        let accounts = fs::read_to_string("/etc/passwd").ok()?;
        let account = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line[0] == name)?;
        Some((account.get(2)?.parse().ok()?, account.get(3)?.parse().ok()?))
    }
}

/// Returns the folders in which Debian installs the programs of each PostgreSQL version, the highest version first.
fn postgres_folders() -> Vec<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let versions = versions.map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<f64>().ok();
    let mut versions: Vec<_> = versions.filter_map(|path| Some((number(&path)?, path.join("bin")))).collect();
    versions.sort_by(|a, b| b.0.total_cmp(&a.0));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

#[expect(clippy::unwrap_used, reason = "see the type")]
impl DatabaseServer {
    /// The password of the user `tester`. The text is distinctive, so that a leak can be found anywhere.
    pub const PASSWORD: &str = "sesame-3141";

    /// Starts a separate server and waits until it answers. `None`, with a message, if it is not installed.
    pub fn start(kind: Kind) -> Option<Self> {
        let server = Self::start_silently(kind);
        if server.is_none() {
            report_missing(kind);
        }
        server
    }

    fn start_silently(kind: Kind) -> Option<Self> {
        let path = kind.path()?;
        let functions = match kind {
            Kind::Postgres => POSTGRES,
            Kind::MariaDb => MARIADB,
        };
        // The shell runs in a session of its own. Otherwise a signal from a terminal or a test runner to the group of
        // the tests would end it too early, and the kernel would resume stopped processes in a group when the last
        // parent outside the group ends.
        let mut shell = Command::new("setsid");
        shell.args(["sh", "-c", &[functions, KEEPER].concat()]).current_dir("/");
        shell.env_clear().env("PATH", &path).env("TMPDIR", env::temp_dir()).env("PASSWORD", Self::PASSWORD);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if runs_as_root() {
            let (user, group) = kind.account()?;
            shell.uid(user).gid(group);
        }
        let mut shell = shell.spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut keeper = Keeper { shell, answers };
        let folder = PathBuf::from(keeper.answer());
        assert!(folder.is_absolute(), "{kind:?}: no folder can be made in {}", env::temp_dir().display());
        let prepared = keeper.answer();
        let mut server = Self { kind, port: 0, path, folder, keeper: Mutex::new(keeper) };
        assert_eq!(prepared, "prepared", "{kind:?} has not made its data: {}", server.log());

        // Another process may take a free port before the server does.
        let started = (0..10).any(|_| {
            server.port = free_port();
            server.starts()
        });
        assert!(started, "{kind:?} does not start: {}", server.log());
        Some(server)
    }

    /// Returns the database system.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the port on which the server listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a database, which need not exist: the user may create it.
    pub fn url(&self, database: &str) -> String {
        let scheme = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
        };
        format!("{scheme}://tester:{}@127.0.0.1:{}/{database}", Self::PASSWORD, self.port)
    }

    /// Runs SQL in a database, or without a database if the name is empty. Returns the rows without a header, with
    /// fields separated by tabs. NULL is an empty field in PostgreSQL and `NULL` in MariaDB.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, Self::PASSWORD, sql).unwrap_or_else(|stderr| panic!("{:?}: {sql}: {stderr}", self.kind))
    }

    fn try_sql(&self, database: &str, password: &str, sql: &str) -> Result<String, String> {
        let output = self.session(database, password, sql).wait_with_output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs SQL like [`DatabaseServer::sql`], but in the background. The session continues, and holds its locks, until
    /// its stdin is closed or it is waited for. Results are written to its stdout immediately, which shows its
    /// progress.
    pub fn sql_in_background(&self, database: &str, sql: &str) -> Child {
        self.session(database, Self::PASSWORD, sql)
    }

    fn session(&self, database: &str, password: &str, sql: &str) -> Child {
        let seconds = TIME_LIMIT.as_secs();
        let mut client;
        match self.kind {
            Kind::Postgres => {
                client = Command::new("psql");
                client.args(["-X", "-w", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]);
                client.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "tester"]);
                client.args(["-d", if database.is_empty() { "postgres" } else { database }]);
            }
            Kind::MariaDb => {
                client = Command::new("mariadb");
                client.args(["--no-defaults", "-N", "-B", "-n", "--default-character-set=utf8mb4"]);
                client.args(["--protocol=tcp", "--skip-ssl", "-h", "127.0.0.1", "-P", &self.port.to_string()]);
                client.args(["-u", "tester", &format!("--connect-timeout={seconds}"), database]);
            }
        }
        // None of the user's own settings apply. Each client reads one of the two passwords.
        client.env_clear().env("PATH", &self.path).env("PGCLIENTENCODING", "UTF8");
        client.env("PGPASSWORD", password).env("MYSQL_PWD", password).env("PGCONNECT_TIMEOUT", seconds.to_string());
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut session = client.spawn().unwrap();
        let sql = sql.trim_end().trim_end_matches(';'); // MariaDB refuses an empty statement
        // A client that is refused ends without reading, and reports the reason itself.
        let _ = writeln!(session.stdin.as_mut().unwrap(), "{sql}\n;");
        session
    }

    /// Sends SIGKILL to all processes of the server, which simulates a power failure.
    pub fn kill(&mut self) {
        self.order("kill");
    }

    /// Starts the server again after [`DatabaseServer::kill`], with the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.starts(), "{:?} does not start again: {}", self.kind, self.log());
    }

    /// Sends SIGSTOP to all processes of the server: it accepts connections and does not answer. Must not be used with
    /// a [`shared`] server.
    pub fn freeze(&self) {
        self.order("freeze");
    }

    /// Sends SIGCONT to all processes of the server.
    pub fn thaw(&self) {
        self.order("thaw");
    }

    fn order(&self, order: &str) -> String {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(keeper.shell.stdin.as_mut().unwrap(), "{order}").unwrap();
        keeper.answer()
    }

    /// Starts the server and waits until it answers; returns false if it ends instead.
    fn starts(&self) -> bool {
        let clock = Instant::now();
        self.order(&format!("start {}", self.port));
        loop {
            // A server of another test on this port would accept the same password.
            let own = match self.kind {
                Kind::Postgres => self.try_sql("", Self::PASSWORD, "SHOW data_directory"),
                Kind::MariaDb => self.try_sql("", Self::PASSWORD, "SELECT @@datadir"),
            };
            if own.as_ref().is_ok_and(|data| Path::new(data).starts_with(&self.folder)) {
                return true;
            }
            if self.order("ask") != "runs" {
                return false;
            }
            assert!(clock.elapsed() < TIME_LIMIT, "{:?} does not answer: {own:?}: {}", self.kind, self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        let path = self.folder.join("log");
        fs::read(path).map_or_else(|error| error.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        // Closes the keeper's stdin. A failure here would only hide why the test fails.
        let _ = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).shell.wait();
    }
}

impl Keeper {
    /// Returns the next line of the keeper; empty if it has ended.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        let _ = self.answers.read_line(&mut line);
        line.trim_end_matches('\n').to_owned()
    }
}

/// Returns the server that all tests of this process share; each test uses a database with a [`fresh_name`]. `None`,
/// with a message for each test that asks, if it is not installed.
pub fn shared(kind: Kind) -> Option<&'static DatabaseServer> {
    static POSTGRES: OnceLock<Option<DatabaseServer>> = OnceLock::new();
    static MARIADB: OnceLock<Option<DatabaseServer>> = OnceLock::new();
    let server = match kind {
        Kind::Postgres => &POSTGRES,
        Kind::MariaDb => &MARIADB,
    };
    let server = server.get_or_init(|| DatabaseServer::start_silently(kind)).as_ref();
    if server.is_none() {
        report_missing(kind);
    }
    server
}

/// Returns a database name of letters, digits and underscores that no other test of this run uses.
pub fn fresh_name(prefix: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}_{}_{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn report_missing(kind: Kind) {
    skipped(&format!("{kind:?} is not installed here (Debian's package {})", kind.package()));
}

/// Returns a free port below the range that the kernel assigns to clients. While the server is down, no client can
/// therefore occupy its port, and no client that connects to it can be connected with itself.
fn free_port() -> u16 {
    loop {
        let random = RandomState::new().build_hasher().finish();
        let port = 20_000 + (random % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const KINDS: [Kind; 2] = [Kind::Postgres, Kind::MariaDb];
    /// The environment variable that makes a test process a holder of servers; its value is the way in which it is to
    /// end.
    const HOLD: &str = "TESTKIT_HOLDS_DATABASES";

    /// Returns the ids of the processes whose working directory is a folder.
    fn processes(folder: &Path) -> Vec<String> {
        let all = Path::new("/proc").read_dir().unwrap().flatten().map(|entry| entry.path());
        let there = all.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder)));
        there.map(|process| process.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// Drops a server and checks what is left of it.
    fn end(server: DatabaseServer) {
        let (kind, folder) = (server.kind, server.folder.clone());
        drop(server);
        assert_eq!(processes(&folder), [""; 0], "{kind:?}");
        assert!(!folder.exists(), "{kind:?}");
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let clock = Instant::now();
        while !holds() {
            assert!(clock.elapsed() < TIME_LIMIT, "never: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn with_table(server: &DatabaseServer) -> String {
        let name = fresh_name("own");
        server.sql("", &format!("CREATE DATABASE {name}"));
        server.sql(
            &name,
            "CREATE TABLE words (id INT PRIMARY KEY, word VARCHAR(20)); INSERT INTO words VALUES (1, 'ä😀')",
        );
        name
    }

    #[test]
    fn sql_works() {
        for server in KINDS.into_iter().filter_map(shared) {
            let (one, other) = (with_table(server), with_table(server));
            assert_ne!(one, other);
            server.sql(&one, "INSERT INTO words VALUES (2, 'b'), (3, 'c');\n-- the end");
            assert_eq!(server.sql(&one, "SELECT * FROM words ORDER BY id"), "1\tä😀\n2\tb\n3\tc");
            assert_eq!(server.sql(&other, "SELECT COUNT(*), 1 FROM words;"), "1\t1");
            assert!(server.try_sql(&one, DatabaseServer::PASSWORD, "SELECT nothing FROM words").is_err());
            assert!(server.try_sql("absent", DatabaseServer::PASSWORD, "SELECT 1").unwrap_err().contains("absent"));
        }
    }

    #[test]
    fn it_is_shared() {
        for kind in KINDS {
            let ports = [shared(kind), shared(kind)].map(|server| server.map(DatabaseServer::port));
            assert_eq!(ports[0], ports[1]);
            let Some(server) = shared(kind) else { continue };
            assert_eq!(server.kind(), kind);
            assert!(server.url("a").ends_with(&format!("://tester:sesame-3141@127.0.0.1:{}/a", server.port())));
        }
    }

    #[test]
    fn a_wrong_password_is_refused() {
        for server in KINDS.into_iter().filter_map(shared) {
            for wrong in ["sesame", ""] {
                let refusal = server.try_sql("", wrong, "SELECT 1").unwrap_err();
                assert!(["password", "denied"].iter().any(|word| refusal.contains(word)), "{refusal}");
            }
        }
    }

    #[test]
    fn a_session_in_the_background_holds_its_locks() {
        for server in KINDS.into_iter().filter_map(shared) {
            let name = with_table(server);
            let lock = "BEGIN; UPDATE words SET word = 'x' WHERE id = 1; SELECT 'held';";
            let mut holder = server.sql_in_background(&name, lock);
            let mut said = String::new();
            BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
            assert_eq!(said, "held\n");
            let mut waiting = server.sql_in_background(&name, "UPDATE words SET word = 'y' WHERE id = 1");
            drop(waiting.stdin.take());
            thread::sleep(Duration::from_millis(200));
            assert!(waiting.try_wait().unwrap().is_none(), "the lock is not held");
            assert!(holder.wait().unwrap().success());
            assert!(waiting.wait().unwrap().success());
            assert_eq!(server.sql(&name, "SELECT word FROM words"), "y");
        }
    }

    #[test]
    fn what_is_committed_outlives_a_kill() {
        for mut server in KINDS.into_iter().filter_map(DatabaseServer::start) {
            let name = with_table(&server);
            for id in 2..5 {
                let open = format!("BEGIN; INSERT INTO words VALUES ({id}0, 'open'); SELECT 'open'");
                let mut session = server.sql_in_background(&name, &open);
                session.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
                server.sql(&name, &format!("INSERT INTO words VALUES ({id}, 'committed')"));
                let before = processes(&server.folder);
                server.kill();
                assert!(before.len() > 1, "{before:?}");
                assert_eq!(processes(&server.folder).len(), 1, "only the keeper should be left");
                let _ = session.wait();
                assert!(server.try_sql(&name, DatabaseServer::PASSWORD, "SELECT 1").is_err());
                let port = server.port();
                server.start_again();
                assert_eq!(server.port(), port);
                let rows = server.sql(&name, "SELECT COUNT(*), MAX(id) FROM words");
                assert_eq!(rows, format!("{id}\t{id}"));
            }
            server.kill();
            end(server);
        }
    }

    #[test]
    fn a_frozen_server_does_not_answer() {
        for server in KINDS.into_iter().filter_map(DatabaseServer::start) {
            let mut session = server.sql_in_background("", "SELECT 'here'");
            session.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
            server.freeze();
            let mut clients = [session, server.sql_in_background("", "SELECT 1")];
            for client in &mut clients {
                let mut stdin = client.stdin.take().unwrap();
                writeln!(stdin, "SELECT 2;").unwrap();
            }
            thread::sleep(Duration::from_millis(500));
            assert!(clients.iter_mut().all(|client| client.try_wait().unwrap().is_none()), "{:?} answers", server.kind);
            server.thaw();
            for mut client in clients {
                assert!(client.wait().unwrap().success());
            }
            server.freeze();
            end(server);
        }
    }

    #[test]
    fn nothing_is_left_of_a_dropped_one() {
        for server in KINDS.into_iter().filter_map(DatabaseServer::start) {
            let mut session = server.sql_in_background("", "SELECT 1");
            session.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
            assert!(processes(&server.folder).len() > 1);
            end(server);
            let _ = session.wait();
        }
    }

    /// Starts this test again as a process that holds the shared servers, and checks what is left of them after it has
    /// ended.
    #[test]
    fn nothing_is_left_after_the_process() {
        if let Ok(end) = env::var(HOLD) {
            for server in KINDS.into_iter().filter_map(shared) {
                if end == "killed, its servers frozen" {
                    server.freeze();
                }
                writeln!(std::io::stdout(), "holds {}", server.folder.display()).unwrap();
            }
            writeln!(std::io::stdout(), "holds").unwrap();
            assert_ne!(end, "panic");
            thread::sleep(TIME_LIMIT);
        }
        let (installed, missing): (Vec<_>, Vec<_>) = KINDS.into_iter().partition(|kind| kind.path().is_some());
        missing.into_iter().for_each(report_missing);
        for end in ["panic", "killed", "killed, its servers frozen"] {
            let mut holder = Command::new(env::current_exe().unwrap());
            holder.args(["--exact", "databases::tests::nothing_is_left_after_the_process", "--nocapture"]);
            holder.env(HOLD, end).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut holder = holder.spawn().unwrap();
            let mut stdout = BufReader::new(holder.stdout.take().unwrap()); // closing it would fail the holder
            let lines = stdout.by_ref().lines().map(Result::unwrap);
            let lines = lines.skip_while(|line| !line.contains("holds")).take_while(|line| !line.ends_with("holds"));
            let folders: Vec<_> = lines.filter_map(|line| Some(PathBuf::from(line.split_once("holds ")?.1))).collect();
            assert_eq!(folders.len(), installed.len());
            if end != "panic" {
                assert!(folders.iter().all(|folder| processes(folder).len() > 1));
                holder.kill().unwrap();
            }
            assert_eq!(holder.wait().unwrap().code(), (end == "panic").then_some(101), "{end}");
            for folder in folders {
                eventually("the folder is gone", || !folder.exists());
                eventually("the processes are gone", || processes(&folder).is_empty());
            }
        }
    }
}
