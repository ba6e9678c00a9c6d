"""A run as lines of text: one per node run, with its state, time, attempts, branch, output and log beneath it."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from headrace_cli import words
from headrace_cli.snapshot import NodeSnapshot, RunSnapshot

_BAR_CELLS = 24
_BAR_FROM_WIDTH = 96
"""Narrower terminals get no bars."""
_LOGS_SHOWN = 5
_DIM = "dim"


@dataclass(frozen=True, slots=True)
class Options:
    """`now` (ms) lets the spans of unfinished node runs grow; None ends them at the last known instant."""

    width: int = 120
    now: int | None = None
    outputs: bool = True
    logs: bool = True


def lines(run: RunSnapshot, options: Options) -> list[Text]:
    """The whole run: a header, then its node runs in the order in which they started."""
    end = _end(run, options.now)
    name_width = max([cell_len(node.node) for node in run.nodes], default=0)
    result = [_header(run, end)]
    for node in run.nodes:
        result.append(_node_line(run, node, name_width, end, options))
        result.extend(_details(run, node, options))
    return [_cropped(line, options.width) for line in result]


def transition(run: RunSnapshot, node: NodeSnapshot, name_width: int = 0) -> Text:
    """One line for a node run that has just changed, for output that cannot be drawn again."""
    at = node.completed_at if node.is_over else _last_instant(node)
    text = Text(f"{_offset(run, at):>10}  ")
    text.append(f"{words.icon(node.state)} {node.state:<9}", words.style(node.state))
    text.append(f"  {node.node:<{name_width}}")
    note = _note(node)
    if node.state == "RETRYING" and node.failed_attempts:
        failed = node.failed_attempts[-1]
        note = f"attempt {failed.attempt} failed: {failed.error}"
    elif node.error:
        note = node.error
    if note:
        text.append(f"  {note}", _DIM)
    text.rstrip()
    return text


def _header(run: RunSnapshot, end: int | None) -> Text:
    text = Text(f"{words.icon(run.state)} {run.state}", f"bold {words.style(run.state)}".strip())
    text.append(f"  {run.workflow}", "bold")
    if run.version is not None:
        text.append(f" v{run.version}", _DIM)
    text.append(f"  {run.id}", "cyan")
    if run.created_at is not None and end is not None:
        text.append(f"  {words.span(end - run.created_at)}")
    if run.label:
        text.append(f"  [{run.label}]")
    if run.origin:
        text.append(f"  {run.origin}", _DIM)
    return text


def _node_line(run: RunSnapshot, node: NodeSnapshot, name_width: int, end: int | None, options: Options) -> Text:
    stopped = node.completed_at if node.is_over else end
    duration = stopped - node.created_at if stopped is not None and node.created_at is not None else None
    text = Text("  ")
    text.append(f"{words.icon(node.state)} {node.state:<9}", words.style(node.state))
    text.append(f" {node.node}{' ' * (name_width - cell_len(node.node))}  ")
    if options.width >= _BAR_FROM_WIDTH:
        text.append_text(_bar(run, node, stopped, end))
        text.append(" ")
    text.append(f"{words.span(duration):>7}")
    note = _note(node)
    if note:
        text.append(f"  {note}", "bold" if node.outlet else _DIM)
    text.rstrip()
    return text


def _bar(run: RunSnapshot, node: NodeSnapshot, stopped: int | None, end: int | None) -> Text:
    """Where in the run's time this node run lies: `━` its span, `×` an attempt that failed."""
    cells = [" "] * _BAR_CELLS
    if run.created_at is not None and node.created_at is not None and stopped is not None and end is not None:
        total = max(end - run.created_at, 1)

        def place(at: int) -> int:
            return min(max((at - run.created_at) * _BAR_CELLS // total, 0), _BAR_CELLS - 1)  # type: ignore[operator]

        first, last = place(node.created_at), place(stopped)
        cells[first : last + 1] = ["━"] * (last - first + 1)
        for failed in node.failed_attempts:
            if failed.at is not None:
                cells[place(failed.at)] = "×"
    text = Text("▕", _DIM)
    for cell in cells:
        text.append(cell, "red" if cell == "×" else words.style(node.state))
    text.append("▏", _DIM)
    return text


def _note(node: NodeSnapshot) -> str:
    if node.outlet is not None:
        return f"→ {node.outlet}"
    if node.type == "CONDITION" and node.is_over and not node.error:
        return "→ no branch matched"
    if node.carried:
        return "carried over"
    if node.waits_for:
        return f"waits for {node.waits_for}"
    return f"attempt {node.attempt}" if node.attempt > 1 else ""


def _details(run: RunSnapshot, node: NodeSnapshot, options: Options) -> list[Text]:
    result = []
    for failed in node.failed_attempts:
        text = f"attempt {failed.attempt} failed at {_offset(run, failed.at)}: {failed.error}"
        result.append(_detail("↻", text, "yellow"))
    if node.state == "RETRYING" and node.next_attempt_at is not None:
        result.append(_detail("↻", f"attempt {node.attempt + 1} at {_offset(run, node.next_attempt_at)}", _DIM))
    if node.error and not (node.failed_attempts and node.failed_attempts[-1].error == node.error):
        result.append(_detail("✗", node.error, "red"))
    if options.outputs and node.is_over and not node.error and node.type != "CONDITION":
        output = _output(node)
        if output:
            result.append(_detail("=", output, _DIM))
    if node.children:
        result.append(_detail("↳", node.children, _DIM))
    result.extend(_detail("✗", failed, "red") for failed in node.failed_children[:_LOGS_SHOWN])
    result.extend(_detail("↗", link, "cyan") for link in node.links)
    if options.logs:
        result.extend(_log_lines(run, node))
    return result


def _log_lines(run: RunSnapshot, node: NodeSnapshot) -> list[Text]:
    hidden = len(node.logs) - _LOGS_SHOWN
    result = [_detail("│", f"{hidden} earlier lines: headrace logs {node.id}", _DIM)] if hidden > 0 else []
    result.extend(
        _detail("│", f"{_offset(run, line.at)} {line.level} {line.message}", _level_style(line.level))
        for line in node.logs[-_LOGS_SHOWN:]
    )
    return result


def _level_style(level: str) -> str:
    return {"ERROR": "red", "WARN": "yellow"}.get(level, _DIM)


def _output(node: NodeSnapshot) -> str:
    if not node.output:
        return ""
    if node.type == "EVENT_TRIGGER" and isinstance(node.output, dict) and "diff" in node.output:
        return words.event(node.output)
    return words.compact(node.output)


def _detail(mark: str, text: str, style: str) -> Text:
    return Text(f"      {mark} {' '.join(text.split())}", style)


def _cropped(line: Text, width: int) -> Text:
    line.truncate(max(width, 20), overflow="ellipsis")
    return line


def _offset(run: RunSnapshot, at: int | None) -> str:
    if at is None or run.created_at is None:
        return "-"
    return f"+{words.span(at - run.created_at)}"


def _end(run: RunSnapshot, now: int | None) -> int | None:
    if run.completed_at is not None:
        return run.completed_at
    known = [instant for node in run.nodes if (instant := _last_instant(node)) is not None]
    if now is not None:
        known.append(now)
    return max(known, default=run.created_at)


def _last_instant(node: NodeSnapshot) -> int | None:
    instants = [node.created_at, node.completed_at, *(failed.at for failed in node.failed_attempts)]
    return max((instant for instant in instants if instant is not None), default=None)
