"""What the benchmarks of one call share: options, a temporary folder, programs, data, and the peers' Python."""

import os
import shutil
import sys
import tempfile
from functools import cached_property
from pathlib import Path

import measure
import processes
import project
from progress import progress

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"


class Session:
    """Removes its temporary folder at the end."""

    def __init__(self, options):
        self.options = options
        self._data = {}

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        # A database server may run as another user.
        self.folder.chmod(0o755)
        return self

    def __exit__(self, *_):
        progress("removing the temporary files")
        shutil.rmtree(self.folder, ignore_errors=True)
        progress("")

    def begin(self, name, features):
        """Prepares the programs for a benchmark and returns a folder for it."""
        if self.options.bin:
            programs = self.options.bin
        else:
            progress("building the programs")
            programs = project.build(features)
        self.current = project.Version("this project", programs)
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    @property
    def versions(self):
        """This version and, with `--previous`, an earlier one."""
        previous = self.options.previous
        return [self.current] + ([project.Version("earlier version", previous)] if previous else [])

    def rounds(self, rows=0):
        """Returns the number of rounds that count."""
        return self.options.rounds or (5 if rows <= 10_000_000 else 3)

    def data(self, rows):
        """Returns a folder with fabricated client tables; the tables of another size are removed."""
        files = self.files
        folder = self.folder / "data"
        if self._data != {rows: files}:
            progress(f"fabricating {rows:,} rows")
            shutil.rmtree(folder, ignore_errors=True)
            command = [self.current.program("fabricate"), "--rows", rows, "--files", files, folder]
            processes.run(command, limit=3600)
            self._data = {rows: files}
        return folder

    @cached_property
    def python(self):
        """The Python of a virtual environment with the peers. It is made again when the requirements change."""
        folder = self.options.venv
        python, stamp = folder / "bin" / "python", folder / "requirements.txt"
        wanted = REQUIREMENTS.read_text()
        if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
            progress(f"installing the peers into {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                processes.run([sys.executable, "-m", "venv", folder], limit=300)
            except processes.Failed:
                message = "Python cannot create a virtual environment: apt-get install python3-venv"
                raise processes.Failed(message) from None
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
            processes.run(install, limit=1800)
            stamp.write_text(wanted)
        return python

    def peer(self, script, *arguments, scratch, limit=3600):
        """Measures a script of the folder `peers`."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [self.python, HERE / "peers" / script, *arguments]
        return measure.measure(command, scratch, environment=environment, limit=limit)


def files_of(rows):
    """Returns the number of files over which so many rows are spread."""
    return 4 if rows <= 1_000_000 else 8 if rows <= 10_000_000 else 10


def count_rows(path):
    """Returns the number of rows of a CSV file with a header and without line breaks in its fields."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
