"""The engine's own secrets: made once, kept in the data folder, readable by the owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "keys.json"


@dataclass(frozen=True, slots=True)
class Keys:
    """The generated admin credentials, and the secrets for tokens and outgoing signatures."""

    client_id: str
    client_secret: str
    token_secret: str
    signing_secret: str


def make() -> Keys:
    """Fresh keys that nobody can guess."""
    return Keys("dev", secrets.token_urlsafe(32), secrets.token_urlsafe(48), secrets.token_urlsafe(32))


def load_or_make(folder: Path | None) -> Keys:
    """The folder's keys, made on first use; without a folder, keys for this process only."""
    if folder is None:
        return make()
    path = folder / _FILE
    if path.exists():
        return Keys(**json.loads(path.read_text(encoding="utf-8")))
    keys = make()
    # whole or not at all: a process killed while it writes must not leave half a file behind
    draft = folder / f"{_FILE}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(keys), file)
    draft.replace(path)
    return keys
