"""Reading rendered configs of actions: names that go into paths, texts, and switches. Raises InvalidConfigError."""

import re

import orjson

from headrace.core.json import Json, JsonObject
from headrace_invoker.webhook import InvalidConfigError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def name(config: JsonObject, key: str, slashes: bool = False) -> str:
    """A name that may stand in a path: letters, digits, `_ . -`; with `slashes` several of them."""
    value = config.get(key)
    if type(value) is int:
        value = str(value)
    parts = value.split("/") if isinstance(value, str) and slashes else [value]
    for part in parts:
        if not isinstance(part, str) or not _NAME.fullmatch(part) or not part.strip("."):
            shown = orjson.dumps(value).decode()[:80]
            raise InvalidConfigError(f"`{key}` is {shown}: it must be a name. Check its template.")
    return "/".join(str(part) for part in parts)


def members(config: JsonObject, key: str) -> JsonObject:
    """An object, empty when it is not given."""
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidConfigError(f"`{key}` is {orjson.dumps(value).decode()[:80]}: it must be an object.")
    return value


def switch(config: JsonObject, key: str, default: bool) -> bool:
    """A boolean, or a text that a template made of one."""
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise InvalidConfigError(f"`{key}` is {orjson.dumps(value).decode()[:80]}: it must be true or false.")
    return value


def text(config: JsonObject, key: str) -> str | None:
    """A text, or None when it is not given or empty."""
    value = config.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidConfigError(f"`{key}` is {orjson.dumps(value).decode()[:80]}: it must be a text.")
    return value


def as_texts(values: JsonObject) -> dict[str, str]:
    """Inputs of pipelines are texts: what is none is written as JSON."""
    return {key: _as_text(value) for key, value in values.items() if value is not None}


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
