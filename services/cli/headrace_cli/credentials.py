"""Who we are: from the environment, or from the file that `headrace dev` writes, one entry per server."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from headrace_cli.errors import UsageError

ID_VARIABLE = "HEADRACE_CLIENT_ID"
SECRET_VARIABLE = "HEADRACE_CLIENT_SECRET"  # noqa: S105 (the name of a variable)


@dataclass(frozen=True, slots=True)
class Credentials:
    client_id: str
    client_secret: str = field(repr=False)


def file_path() -> Path:
    return Path.home() / ".headrace" / "credentials.json"


def find(url: str) -> Credentials | None:
    """The credentials for the server at `url`; the environment wins over the file. Raises UsageError."""
    client_id, client_secret = os.environ.get(ID_VARIABLE), os.environ.get(SECRET_VARIABLE)
    if client_id and client_secret:
        return Credentials(client_id, client_secret)
    if client_id or client_secret:
        missing = SECRET_VARIABLE if client_id else ID_VARIABLE
        raise UsageError(f"{missing} is not set.", f"Set {ID_VARIABLE} and {SECRET_VARIABLE}, or neither.")
    entry = _read().get(_key(url))
    if not isinstance(entry, dict):
        return None
    found_id, found_secret = entry.get("clientId"), entry.get("clientSecret")
    if isinstance(found_id, str) and isinstance(found_secret, str):
        return Credentials(found_id, found_secret)
    return None


def save(url: str, credentials: Credentials) -> Path:
    """Remember the credentials for `url`, readable by the owner only. Returns the file. Raises UsageError."""
    path = file_path()
    try:
        entries = _read()
    except UsageError:
        entries = {}
    entries[_key(url)] = {"clientId": credentials.client_id, "clientSecret": credentials.client_secret}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=2)
            file.write("\n")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"The credentials cannot be written to {path}: {error.strerror}.") from None
    return path


def _read() -> dict[str, object]:
    path = file_path()
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Remove it; `headrace dev` writes a new one.") from None
    return entries if isinstance(entries, dict) else {}


def _key(url: str) -> str:
    """One spelling per server: no trailing slash, and this machine by one name."""
    return url.rstrip("/").replace("//localhost", "//127.0.0.1")
