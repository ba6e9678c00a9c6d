"""Building workflow documents for tests: the shortest way to say what matters, in dialect L unless stated."""

from typing import Any

from headrace.core.errors import Problem

Document = dict[str, Any]
Found = set[tuple[str, str]]
"""Problems as (code, pointer)."""


def workflow(nodes: dict[str, Any], *connections: str, **fields: Any) -> Document:
    """A workflow. Each value of `nodes` is a config, or a (config, further node fields) pair.

    A connection is written "a > b", "a.gold > b" (by the branch gold) or "a ! b" (fallback).
    """
    return {
        "identifier": "w",
        "nodes": [node(name, *(value if isinstance(value, tuple) else (value,))) for name, value in nodes.items()],
        "connections": [connection(text) for text in connections],
        **fields,
    }


def node(name: str, config: Any, more: Document | None = None) -> Document:
    return {"identifier": name, "config": config, **(more or {})}


def connection(text: str) -> Document:
    source, mark, target = text.split(" ")
    source, _, branch = source.partition(".")
    return {
        "sourceIdentifier": source,
        "targetIdentifier": target,
        **({"sourceOutletIdentifier": branch} if branch else {}),
        **({"fallback": True} if mark == "!" else {}),
    }


def form(**inputs: Any) -> Document:
    """A self-serve trigger; an input is its type or its definition."""
    properties = {
        name: {"type": definition} if isinstance(definition, str) else definition for name, definition in inputs.items()
    }
    return {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": properties}}


def event(kind: str = "ENTITY_UPDATED", *expressions: str, **more: Any) -> Document:
    config: Document = {"type": "EVENT_TRIGGER", "event": {"type": kind, "blueprintIdentifier": "service"}}
    if expressions:
        config["condition"] = {"type": "JQ", "expressions": list(expressions), **more}
    return config


def webhook(body: Any = None, **more: Any) -> Document:
    config: Document = {"type": "WEBHOOK", "url": "https://ops.example.test/x", **more}
    if body is not None:
        config["body"] = body
    return config


def condition(**branches: str) -> Document:
    outlets: Any = [{"identifier": name, "expression": text} for name, text in branches.items()]
    return {"type": "CONDITION", "outlets": outlets}


def upsert(**mapping: Any) -> Document:
    return {"type": "UPSERT_ENTITY", "blueprintIdentifier": "deployment", "mapping": mapping}


def approval(*outlets: str, buttons: tuple[str, ...] | None = None) -> Document:
    return {
        "type": "INPUT",
        "userInputs": {"properties": {}, "buttons": [{"identifier": name} for name in buttons or outlets]},
        "outlets": [{"identifier": name, "numOfResponders": 1} for name in outlets],
    }


def said(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The problems of the document itself, without what this version does not do yet."""
    return tuple(problem for problem in problems if problem.code != "not-yet")


def found(problems: tuple[Problem, ...]) -> Found:
    return {(problem.code, problem.pointer) for problem in said(problems)}


def errors_of(problems: tuple[Problem, ...]) -> Found:
    return {(problem.code, problem.pointer) for problem in problems if problem.severity == "error"}
