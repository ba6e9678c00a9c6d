"""Lists as aligned columns: workflows, versions, runs, log lines."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.text import Text

from headrace_cli import snapshot, words
from headrace_cli.client import JsonDict

Cell = str | Text
_GAP = "  "
_NARROWEST = 24
"""The last column gets at least so many cells, even if lines grow longer than the terminal is wide."""


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], width: int, wrap: bool = False) -> list[Text]:
    """Aligned columns without lines around them. All but the last are as wide as they need to be.

    What does not fit into the last one goes on in the next line if `wrap`, else it is cut.
    """
    lines = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    lines.insert(0, [Text(heading, "dim") for heading in headings])
    widths = [max(row[column].cell_len for row in lines) for column in range(len(headings) - 1)]
    left = max(width - sum(widths) - len(_GAP) * len(widths), _NARROWEST)
    result: list[Text] = []
    for row in lines:
        begin = Text()
        for cell, wanted in zip(row, widths, strict=False):
            begin.append_text(cell).append(" " * (wanted - cell.cell_len) + _GAP)
        pieces = _pieces(row[-1], left, wrap)
        result.append(begin.append_text(pieces[0]))
        indent = " " * (sum(widths) + len(_GAP) * len(widths))
        result.extend(Text(indent).append_text(piece) for piece in pieces[1:])
    for line in result:
        line.rstrip()
    return result


def _pieces(cell: Text, width: int, wrap: bool) -> list[Text]:
    if wrap:
        found = [piece for line in cell.plain.split("\n") for piece in textwrap.wrap(line, width) or [""]]
        return [Text(piece, cell.style) for piece in found]
    cell.truncate(width, overflow="ellipsis")
    return [cell]


def workflows(documents: Sequence[JsonDict], width: int) -> list[Text]:
    rows = [
        (
            Text(str(each.get("identifier", "")), "bold"),
            f"v{each.get('version', '?')}",
            _triggers(each),
            str(len(each.get("nodes") or ())),
            _when(each.get("updatedAt")),
            str(each.get("title") or ""),
        )
        for each in documents
    ]
    return table(("WORKFLOW", "VERSION", "TRIGGER", "NODES", "UPDATED (UTC)", "TITLE"), rows, width)


def versions(documents: Sequence[JsonDict], width: int) -> list[Text]:
    rows = [
        (f"v{each.get('version', '?')}", _when(each.get("updatedAt")), str(each.get("updatedBy") or "-"))
        for each in documents
    ]
    return table(("VERSION", "SAVED (UTC)", "BY"), rows, width)


def blueprints(documents: Sequence[JsonDict], width: int) -> list[Text]:
    rows = []
    for each in documents:
        schema, relations = each.get("schema"), each.get("relations")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        rows.append(
            (
                Text(str(each.get("identifier", "")), "bold"),
                str(len(properties) if isinstance(properties, dict) else 0),
                str(len(relations) if isinstance(relations, dict) else 0),
                _when(each.get("updatedAt")),
                str(each.get("title") or ""),
            )
        )
    return table(("BLUEPRINT", "PROPERTIES", "RELATIONS", "UPDATED (UTC)", "TITLE"), rows, width)


def entities(documents: Sequence[JsonDict], width: int) -> list[Text]:
    rows = [
        (
            Text(str(each.get("identifier", "")), "bold"),
            _when(each.get("updatedAt")),
            str(each.get("updatedBy") or "-"),
            str(each.get("title") or ""),
        )
        for each in documents
    ]
    return table(("ENTITY", "UPDATED (UTC)", "BY", "TITLE"), rows, width)


def runs(documents: Sequence[JsonDict], width: int) -> list[Text]:
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
    return table(("RUN", "STATE", "WORKFLOW", "STARTED (UTC)", "DURATION", "AT"), rows, width)


def _attention(run: snapshot.RunSnapshot) -> str:
    """The node that a reader looks for: the failed one, or what the run is at."""
    for node in run.nodes:
        if node.state == "FAILED":
            return " ".join(f"{node.node}: {node.error}".split()) if node.error else node.node
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
