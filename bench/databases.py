"""Private database servers, and the same operations on SQLite, PostgreSQL and MariaDB."""

import os
import pwd
import signal
import sqlite3
from contextlib import ExitStack

import measure
import processes

PASSWORD = "secret"


class Sqlite:
    """Two files of a folder: the history, and a table that `sqlite3` loads."""

    name, loader = "SQLite", "sqlite3 .import"

    def __init__(self, folder):
        self.folder, self.loaded = folder, folder / "loaded.sqlite"
        self.url = "sqlite://history.sqlite"

    def execute(self, statement, file="history.sqlite"):
        """Runs statements and returns the first row of a single one that has rows."""
        database = sqlite3.connect(self.folder / file, timeout=60)
        try:
            if ";" in statement:
                database.executescript(statement)
                return None
            with database:
                return database.execute(statement).fetchone()
        finally:
            database.close()

    def prepare_load(self):
        self.loaded.unlink(missing_ok=True)
        schema = self.execute("SELECT sql FROM sqlite_master WHERE name = 'clients'")[0]
        self.execute(schema, self.loaded.name)

    def load(self, path, scratch):
        command = ["sqlite3", self.loaded, ".mode csv", f".import {path} clients"]
        return measure.measure(command, scratch)

    def count(self, table):
        file, name = (self.loaded.name, "clients") if table == "loaded" else ("history.sqlite", table)
        return list(self.execute(f"SELECT COUNT(*), SUM(number) FROM {name}", file))


class Server:
    """The operations that PostgreSQL and MariaDB share. A subclass has `client`, the command that runs a statement."""

    def execute(self, statement):
        return processes.output([*self.client, statement], environment=self.environment, limit=600)

    def prepare_load(self):
        self.execute("DROP TABLE IF EXISTS loaded")
        self.execute(self.like_clients)

    def load(self, path, scratch, table="loaded"):
        command = [*self.client, self.load_statement.format(path=path, table=table)]
        return measure.measure(command, scratch, environment=self.environment)

    def count(self, table):
        return [int(number) for number in self.execute(f"SELECT COUNT(*), SUM(number) FROM {table}").split()]


class PostgreSql(Server):
    name, loader = "PostgreSQL", "psql \\copy"
    like_clients = "CREATE TABLE loaded (LIKE clients INCLUDING ALL)"
    load_statement = "\\copy {table} from '{path}' (format csv, null 'NULL')"

    def __init__(self, port):
        self.environment = {**os.environ, "PGPASSWORD": PASSWORD}
        self.psql = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-h", "127.0.0.1", "-p", port, "-U", "tester"]
        self.client = [*self.psql, "-d", "risk", "-c"]
        self.url = f"postgres://tester:{PASSWORD}@127.0.0.1:{port}/risk"


class MariaDb(Server):
    name, loader = "MariaDB", "LOAD DATA LOCAL INFILE"
    like_clients = "CREATE TABLE loaded LIKE clients"
    load_statement = (
        "LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table} FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
    )

    def __init__(self, port):
        self.environment = {**os.environ, "MYSQL_PWD": PASSWORD}
        connection = ["-h", "127.0.0.1", "-P", port, "-u", "tester", "--local-infile=1"]
        self.client = ["mariadb", "--no-defaults", "-N", "-B", *connection, "risk", "-e"]
        self.url = f"mysql://tester:{PASSWORD}@127.0.0.1:{port}/risk"


def postgres(folder, stack: ExitStack):
    """Starts a server that ends with `stack`."""
    # It refuses to run as root; Debian's package creates this user.
    user = "postgres" if os.getuid() == 0 else None
    folder.mkdir()
    password = folder / "password"
    password.write_text(PASSWORD)
    if user:
        account = pwd.getpwnam(user)
        for path in (folder, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    data, log, port = folder / "data", folder.with_suffix(".log"), processes.free_port()
    with (folder.with_suffix(".init")).open("w") as said:
        processes.run(
            ["initdb", "-D", data, "-U", "tester", f"--pwfile={password}", "--auth=scram-sha-256", "-E", "UTF8",
             "--locale=C"],
            folder=folder, user=user, stdout=said, stderr=said, limit=120,
        )
    command = ["postgres", "-D", data, "-p", port, "-k", folder, "-c", "listen_addresses=127.0.0.1"]
    # SIGQUIT ends it at once; nobody needs its files any more.
    process = stack.enter_context(
        processes.background(command, log=log, folder=folder, user=user, stop_signal=signal.SIGQUIT)
    )
    server = PostgreSql(port)
    administer = [*server.psql, "-d", "postgres", "-c"]
    ready = lambda: succeeds([*administer, "SELECT 1"], server.environment)
    processes.wait_until(ready, "PostgreSQL", process=process, log=log)
    processes.output([*administer, "CREATE DATABASE risk"], environment=server.environment, limit=60)
    return server


def mariadb(folder, stack: ExitStack):
    """Starts a server that ends with `stack`."""
    folder.mkdir()
    user = pwd.getpwuid(os.getuid()).pw_name
    data, socket, port, log = folder / "data", folder / "socket", processes.free_port(), folder / "log"
    options = ["--no-defaults", f"--user={user}", f"--datadir={data}"]
    with (folder / "init").open("w") as said:
        install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"]
        processes.run(install, stdout=said, stderr=said, limit=120)
    command = ["mariadbd", *options, f"--socket={socket}", f"--port={port}", "--bind-address=127.0.0.1",
               f"--pid-file={folder}/pid"]
    process = stack.enter_context(processes.background(command, log=log))
    root = ["mariadb", "--no-defaults", f"--socket={socket}", "-u", "root", "-e"]
    processes.wait_until(lambda: succeeds([*root, "SELECT 1"]), "MariaDB", process=process, log=log)
    for statement in (
        "CREATE DATABASE risk",
        f"CREATE USER tester@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        "GRANT ALL ON *.* TO tester@'127.0.0.1'",
    ):
        processes.output([*root, statement], limit=60)
    return MariaDb(port)


def succeeds(command, environment=None):
    """Returns whether a command succeeds; what it says is not shown."""
    try:
        processes.run(command, environment=environment, limit=20, stdout=processes.DEVNULL, stderr=processes.DEVNULL)
    except processes.Failed:
        return False
    return True
