"""The machine and the versions of everything that is measured."""

import os
import platform
import re
import subprocess
from pathlib import Path

import processes
import project


def description():
    """Returns what the results say about the machine. They do not name it."""
    cpu = [line.partition(":")[2].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu[0] if cpu else platform.machine(),
        "memory_gib": round(memory[0] / 1024**2) if memory else None,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        # A load near or above the number of cores says that the measurements competed with something else.
        "load": round(os.getloadavg()[0], 1),
    }


def versions(session, benchmark):
    """Returns the versions of this project, its compiler, the peers and the tools of a benchmark."""
    found = {"Python": platform.python_version(), "rustc": version_number(first_line(["rustc", "--version"]))}
    for version in session.versions:
        found[version.name] = version.description()
    if not session.options.bin:
        found["commit"] = first_line(["git", "-C", project.CHECKOUT, "describe", "--always", "--dirty", "--exclude=*"])
    if benchmark.PEERS:
        show = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
        numbers = processes.output([session.python, "-c", show, *benchmark.PEERS], limit=60).split()
        found.update(zip(benchmark.PEERS, numbers))
    for program, arguments in benchmark.VERSIONS.items():
        found[program] = version_number(first_line([program, *arguments]))
    return found


def version_number(text):
    """Returns the first version number in a text, or the text if it has none."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text


def lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def first_line(command):
    """Returns the first line that a command prints, or `unknown`. Some programs report their version with an error."""
    try:
        said = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return ((said.stdout or said.stderr).splitlines() or ["unknown"])[0].strip()
