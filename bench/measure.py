"""Measures a command as a whole process."""

import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import processes

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Usage:
    """What one process and the processes that it waited for have used."""

    wall: float
    user: float
    system: float
    peak_mib: float
    output: str

    def figures(self):
        """Returns the figures by name. Times are seconds."""
        return {
            "wall": self.wall,
            "cpu": self.user + self.system,
            "user": self.user,
            "system": self.system,
            "peak_mib": self.peak_mib,
        }


def measure(command, scratch, *, environment=None, limit=3600):
    """Runs a command, which must succeed, in the folder `scratch` and measures it.

    Output goes to files, so that no reader competes with the command for a core.
    """
    program, *arguments = map(str, command)
    path = shutil.which(program)
    if path is None:
        raise processes.Failed(f"{program}: not found")
    report, stdout, stderr = (scratch / f".measured.{name}" for name in ("usage", "stdout", "stderr"))
    report.unlink(missing_ok=True)
    # Otherwise the command may pay for writing what the one before it has left in memory.
    os.sync()
    launcher = [sys.executable, "-I", "-S", LAUNCHER, report, os.path.abspath(path), *arguments]
    with stdout.open("w") as out, stderr.open("w") as err:
        processes.run(launcher, folder=scratch, environment=environment, limit=limit, stdout=out, stderr=err)
    code, wall, user, system, peak_kib = report.read_text().split()
    if code != "0":
        said = "\n".join(stderr.read_text(errors="replace").splitlines()[-10:])
        kind = processes.Killed if int(code) == -signal.SIGKILL else processes.Failed
        raise kind(f"exit code {code}: {program} {' '.join(arguments)}\n{said}")
    return Usage(float(wall), float(user), float(system), float(peak_kib) / 1024, stdout.read_text())
