"""The examples that come with the package: workflows and events to try things with."""

from pathlib import Path

RECEIVER_PORT = 8099
"""Where the examples expect their receiver (`headrace receiver`)."""

_FOLDER = Path(__file__).parent / "example_files"


def workflow(name: str) -> Path:
    return _FOLDER / "workflows" / f"{name}.json"


def events(name: str) -> Path:
    return _FOLDER / "events" / f"{name}.json"


def with_receiver(text: str, port: int) -> str:
    """The text of an example with the receiver's port exchanged."""
    return text.replace(f"http://127.0.0.1:{RECEIVER_PORT}/", f"http://127.0.0.1:{port}/")
