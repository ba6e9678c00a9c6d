"""How single things are written: states, spans of time, values, events. No layout."""

import json
from typing import Any

from headrace_cli.client import JsonDict

ICONS = {
    "SUCCESS": "✓",
    "FAILED": "✗",
    "CANCELLED": "⊘",
    "CANCELLING": "⊘",
    "RUNNING": "●",
    "WAITING": "◷",
    "RETRYING": "↻",
}
STYLES = {
    "SUCCESS": "green",
    "FAILED": "bold red",
    "CANCELLED": "yellow",
    "CANCELLING": "yellow",
    "RUNNING": "cyan",
    "WAITING": "blue",
    "RETRYING": "yellow",
}


def icon(state: str) -> str:
    return ICONS.get(state, "·")


def style(state: str) -> str:
    return STYLES.get(state, "")


def span(milliseconds: int | None) -> str:
    """A duration in two or three digits and its unit."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1_000:
        return f"{max(milliseconds, 0)} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.1f} s"
    minutes, seconds = divmod(milliseconds // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def cut(text: str, width: int) -> str:
    """The text on one line, at most `width` characters of it."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def event(event: JsonDict) -> str:
    """What an entity event tells, in one line: `UPDATE service/billing  tier silver → gold`."""
    action = str(event.get("action") or "?")
    changes = _changes(event)
    return f"{action} {subject(event)}" + (f"  {changes}" if changes else "")


def subject(event: JsonDict) -> str:
    """`blueprint/entity` of an event."""
    given = event.get("context")
    context: JsonDict = given if isinstance(given, dict) else {}
    entity = _side(event, "after") or _side(event, "before")
    blueprint = context.get("blueprintIdentifier") or entity.get("blueprint") or "?"
    return f"{blueprint}/{context.get('entityIdentifier') or entity.get('identifier') or '?'}"


def _changes(event: JsonDict) -> str:
    before, after = _properties(event, "before"), _properties(event, "after")
    if not before or not after:
        return ""
    parts = [
        f"{name} {_scalar(before.get(name))} → {_scalar(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    return ", ".join(parts[:3]) + (f", {len(parts) - 3} more" if len(parts) > 3 else "")


def _scalar(value: Any) -> str:
    return cut(value if isinstance(value, str) else compact(value), 24)


def _properties(event: JsonDict, side: str) -> JsonDict:
    properties = _side(event, side).get("properties")
    return properties if isinstance(properties, dict) else {}


def _side(event: JsonDict, side: str) -> JsonDict:
    diff = event.get("diff")
    entity = diff.get(side) if isinstance(diff, dict) else None
    return entity if isinstance(entity, dict) else {}
