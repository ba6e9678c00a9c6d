"""Lists as aligned columns: workflows, versions, runs, log lines."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from headrace_cli import snapshot, words
from headrace_cli.client import JsonDict

Cell = str | Text


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """Columns without lines around them; cells are never cut before the terminal ends."""
    result = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        result.add_column(heading, no_wrap=heading != "DESCRIPTION", overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def workflows(documents: Sequence[JsonDict]) -> Table:
    rows = [
        (
            Text(str(each.get("identifier", "")), "bold"),
            f"v{each.get('version', '?')}",
            _triggers(each),
            str(len(each.get("nodes") or ())),
            _when(each.get("updatedAt")),
            words.cut(str(each.get("title") or ""), 50),
        )
        for each in documents
    ]
    return table(("WORKFLOW", "VERSION", "TRIGGER", "NODES", "UPDATED (UTC)", "TITLE"), rows)


def versions(documents: Sequence[JsonDict]) -> Table:
    rows = [
        (f"v{each.get('version', '?')}", _when(each.get("updatedAt")), str(each.get("updatedBy") or "-"))
        for each in documents
    ]
    return table(("VERSION", "SAVED (UTC)", "BY"), rows)


def runs(documents: Sequence[JsonDict]) -> Table:
    rows = []
    for document in documents:
        run = snapshot.read(document)
        rows.append(
            (
                Text(run.id, "cyan"),
                Text(f"{words.icon(run.state)} {run.state}", words.style(run.state)),
                f"{run.workflow} v{run.version}" if run.version is not None else run.workflow,
                _when(document.get("createdAt")),
                _duration(run),
                _attention(run),
            )
        )
    return table(("RUN", "STATE", "WORKFLOW", "STARTED (UTC)", "DURATION", "AT"), rows)


def _attention(run: snapshot.RunSnapshot) -> str:
    """The node that a reader looks for: the failed one, or what the run is at."""
    for node in run.nodes:
        if node.state == "FAILED":
            return words.cut(f"{node.node}: {node.error}" if node.error else node.node, 60)
    at_work = [node for node in run.nodes if not node.is_over]
    return ", ".join(
        f"{node.node} {node.state}" + (f" ({node.attempt})" if node.attempt > 1 else "") for node in at_work
    )


def log_lines(lines: Iterable[snapshot.LogLine], node: str = "") -> list[Text]:
    result = []
    for line in lines:
        text = Text(_clock_time(line.at), "dim")
        text.append(f" {line.level:<5}", {"ERROR": "red", "WARN": "yellow"}.get(line.level, "dim"))
        if node:
            text.append(f" {node}", "bold")
        text.append(f" {line.message}")
        result.append(text)
    return result


def _triggers(document: JsonDict) -> str:
    names = []
    for node in document.get("nodes") or ():
        config = node.get("config") if isinstance(node, dict) else None
        kind = str(config.get("type", "")) if isinstance(config, dict) else ""
        if kind == "EVENT_TRIGGER" and isinstance(config, dict) and isinstance(config.get("event"), dict):
            event = config["event"]
            names.append(f"{event.get('type')} {event.get('blueprintIdentifier')}")
        elif kind.endswith("_TRIGGER"):
            names.append(kind.removesuffix("_TRIGGER").lower().replace("_", "-"))
    return ", ".join(names)


def _when(value: object) -> str:
    return str(value)[:19].replace("T", " ") if isinstance(value, str) else "-"


def _clock_time(at: int | None) -> str:
    if at is None:
        return "-"
    seconds, milliseconds = divmod(at, 1_000)
    minutes, second = divmod(seconds % 86_400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{milliseconds:03}"


def _duration(run: snapshot.RunSnapshot) -> str:
    if run.completed_at is None or run.created_at is None:
        return "-"
    return words.span(run.completed_at - run.created_at)
