"""The programs of this project, and the folders in which they run."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import measure
import processes

CHECKOUT = Path(__file__).resolve().parent.parent
CARGO_TARGET = CHECKOUT / os.environ.get("CARGO_TARGET_DIR", "target")

# Without cargo in the path, no step asks a registry for versions, which takes seconds and depends on the network.
WITHOUT_CARGO = {"PATH": "/nowhere"}


def build(features=()):
    """Builds the programs and returns their folder."""
    processes.require({"cargo": "rustup", **({"protoc": "protobuf-compiler"} if "cluster" in features else {})})
    command = ["cargo", "build", "--release", "--locked", "--workspace", "--bins", "--examples"]
    processes.run(command + [f"--features={feature}" for feature in features], folder=CHECKOUT, limit=7200)
    return CARGO_TARGET / "release"


@dataclass(frozen=True)
class Version:
    """The programs of one version of this project."""

    name: str
    folder: Path

    def program(self, name):
        """Returns the path of a program or of an example."""
        for path in (self.folder / name, self.folder / "examples" / name):
            if path.is_file():
                return path
        raise processes.Failed(f"{self.folder} does not contain the program {name}")

    def help(self, name):
        return processes.output([self.program(name), "--help"], limit=20)

    def description(self):
        """Returns the version with a checksum of `ingestion`, which identifies a build exactly."""
        number = processes.output([self.program("ingestion"), "--version"], limit=20).split()[-1]
        sha256 = hashlib.sha256(self.program("ingestion").read_bytes()).hexdigest()
        return f"{number}, ingestion has SHA-256 {sha256[:12]}"


class Workspace:
    """A folder with a config file in which the steps of one version run."""

    def __init__(self, folder, version, data, **keys):
        """`keys` are further keys of the config."""
        folder.mkdir(parents=True)
        self.folder, self.version = folder, version
        shutil.copytree(CHECKOUT / "testdata", folder / "testdata")
        config = {
            "input_folder_path": str(data),
            "output_folder_path": "compiled",
            "test_data_path": "testdata",
            "output_model_path": "models",
            "prod_deployment_path": "production",
            "database_url": "sqlite://history.sqlite",
            **keys,
        }
        self.config = folder / "config.json"
        self.config.write_text(json.dumps(config, indent=1))

    def command(self, step, *arguments):
        return [self.version.program(step), "--config", self.config, *arguments]

    def measure(self, step, *arguments, environment=None, limit=3600):
        """Runs a step with `--json`. Returns what it used, and its outcome."""
        command = self.command(step, "--json", *arguments)
        usage = measure.measure(command, self.folder, environment=environment, limit=limit)
        return usage, json.loads(usage.output)

    def run(self, step, *arguments, **options):
        """Runs a step with `--json` and returns its outcome."""
        return self.measure(step, *arguments, **options)[1]

    def remove(self, *names):
        """Removes files and folders of the workspace, so that no step finds an earlier result."""
        for name in names:
            for path in self.folder.glob(name):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
