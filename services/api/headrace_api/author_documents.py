"""Documents of authors, workflows and blueprints alike: what the server added to them, patches, and sameness."""

from collections.abc import Container

import orjson

from headrace.core.json import JsonObject


def without(added: Container[str], document: JsonObject) -> JsonObject:
    """The document without the fields that the server added when it was read."""
    return {name: value for name, value in document.items() if name not in added}


def patched(current: JsonObject, patch: JsonObject) -> JsonObject:
    """Each top-level field of the patch replaces the old one as a whole, null removes it (spec 10, row 4)."""
    merged = {**current, **patch}
    return {name: value for name, value in merged.items() if value is not None or name not in patch}


def canonical(document: JsonObject) -> bytes:
    """The same for documents that say the same: fields that are left out and null are one.

    It is a text, because 1, 1.0 and true are equal to Python and not to an author.
    """
    kept = {name: value for name, value in document.items() if value is not None}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
