"""Child processes that never outlive the benchmark, and waiting with a limit."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE


class Failed(Exception):
    """A benchmark that cannot go on. The message says why."""


class Killed(Failed):
    """A measured command that was killed, which the kernel does if memory runs out."""


def run(command, *, folder=None, environment=None, user=None, limit=3600, stdout=None, stderr=None):
    """Runs a command, which must succeed within `limit` seconds. Whatever happens, none of its children stay.

    Returns the output if `stdout` is `PIPE`.
    """
    process = start(command, folder, environment, user, stdout, stderr)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command_line(command)}: still running after {limit} s") from None
    finally:
        kill_group(process)
    if process.returncode != 0:
        raise Failed(f"exit code {process.returncode}: {command_line(command)}")
    return output


def output(command, **options):
    """Runs a command and returns what it writes to stdout. What it writes to stderr is shown if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        try:
            return run(command, stdout=PIPE, stderr=said, **options)
        except Failed as error:
            said.seek(0)
            raise Failed(f"{error}\n{said.read()[-1000:]}") from None


@contextmanager
def background(command, *, log, folder=None, environment=None, user=None, stop_signal=signal.SIGTERM):
    """Runs a server for the duration of a `with` block. Its output goes to the file `log`."""
    with log.open("w") as file:
        process = start(command, folder, environment, user, file, subprocess.STDOUT)
    try:
        yield process
    finally:
        stop(process, stop_signal)


def start(command, folder, environment, user, stdout, stderr):
    """Starts a command as the leader of a group, so that it can be killed with its children."""
    identity = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.Popen(
        list(map(str, command)), cwd=folder, env=environment, stdin=DEVNULL, stdout=stdout, stderr=stderr, text=True,
        start_new_session=True, **identity,
    )


def stop(process, stop_signal=signal.SIGTERM, limit=20):
    """Asks a process to end, and kills it with its children if it does not within `limit` seconds."""
    try:
        if process.poll() is None:
            process.send_signal(stop_signal)
            process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill_group(process)


def kill_group(process):
    """Kills what is left of a process that leads a group, and reaps it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def wait_until(condition, what, *, process=None, log=None, limit=60):
    """Waits until `condition()` is true and returns its value."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-1000:] if log else ""
            raise Failed(f"{what}: {'the process ended' if ended else f'not within {limit} s'}\n{tail}")
        time.sleep(0.02)
    return value


def free_port():
    """Returns a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    """Returns whether a server accepts connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def find_servers():
    """Adds the folders to the path in which Debian installs database servers."""
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, postgres[-1:])])


def require(tools):
    """Raises an error that names the Debian packages of missing programs. `tools` maps programs to packages."""
    missing = {package for program, package in tools.items() if shutil.which(program) is None}
    if missing:
        raise Failed(f"missing programs: apt-get install {' '.join(sorted(missing))}")


def command_line(command):
    """Returns a command as one line for messages."""
    return " ".join(map(str, command))
