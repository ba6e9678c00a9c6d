"""A RunQuery as a filter that one of the indexes answers in order, without sorting and without reading other runs.

Every filter names its states, and so goes through an index that begins with them: the server merges the few ordered
ranges. Values come from people, so each stands under `$in`, where it can be nothing but a value.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from headrace.ports.stores import RunQuery

_STATES: Final = ("IN_PROGRESS", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED", "COMPLETED")
_COMPLETED: Final = frozenset(("SUCCESS", "FAILED", "CANCELLED", "COMPLETED"))
_MAX_RANGES: Final = 200
"""Beyond this the server sorts instead of merging, so all runs in order are walked through instead."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`hint` names the index to use; None: the server chooses, from several."""

    filter: dict[str, Any]
    hint: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """Runs of these workflows (None: of any) by this user (None: by anybody)."""

    workflows: frozenset[str] | None
    created_by: str | None


def select(query: RunQuery) -> Selection | None:
    """What to ask for; None when nothing can be found."""
    states = _states_of(query)
    parts = [part for part in _parts_of(query) if part.workflows is None or part.workflows]
    if not states or not parts:
        return None
    common: dict[str, Any] = {}
    if query.run_ids:
        common["_id"] = {"$in": list(dict.fromkeys(query.run_ids))}
    if query.versions:
        common["version"] = {"$in": list(dict.fromkeys(query.versions))}
    in_states = {"state": {"$in": states}}
    ranges = sum(_ranges(part, len(states)) for part in parts)
    if len(parts) == 1:
        found = in_states | _filter(parts[0]) | common
    elif ranges > _MAX_RANGES:
        found = in_states | common | {"$or": [_filter(part) for part in parts]}
    else:
        found = {"$or": [in_states | _filter(part) | common for part in parts]}
    return Selection(found, _hint(query, parts, ranges))


def _hint(query: RunQuery, parts: Collection[_Part], ranges: int) -> str | None:
    if query.run_ids:
        return "_id_"
    if ranges > _MAX_RANGES:
        return "by_state"
    if len(parts) > 1:
        return None
    (part,) = parts
    if part.created_by is not None:
        return "by_creator"
    return "by_state" if part.workflows is None else "by_workflow"


def _ranges(part: _Part, states: int) -> int:
    """How many ordered ranges of an index hold the part."""
    return states * (1 if part.created_by is not None or part.workflows is None else len(part.workflows))


def _filter(part: _Part) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if part.created_by is not None:
        found["created_by"] = {"$in": [part.created_by]}
    if part.workflows is not None:
        found["workflow"] = {"$in": sorted(part.workflows)}
    return found


def _parts_of(query: RunQuery) -> list[_Part]:
    """The runs that the query asks for and its viewer may see, as one part or two."""
    wanted = frozenset(query.workflows) if query.workflows else None
    if query.viewer is None or query.created_by == query.viewer:
        return [_Part(wanted, query.created_by)]
    visible = query.open_workflows if wanted is None else wanted & query.open_workflows
    if query.created_by is not None:
        return [_Part(visible, query.created_by)]
    own = None if wanted is None else wanted - query.open_workflows
    return [_Part(visible, None), _Part(own, query.viewer)]


def _states_of(query: RunQuery) -> list[str]:
    """The states that the statuses and results asked for come to."""
    wanted = set(_STATES)
    if query.statuses:
        wanted &= set(query.statuses) | (_COMPLETED if "COMPLETED" in query.statuses else set())
    if query.results:
        wanted &= set(query.results)
    return [state for state in _STATES if state in wanted]
