"""Whether a value fits the definition of a property, and the instants of timers (spec 2.1.3, 11.2)."""

import ipaddress

from headrace.core.authoring.findings import Findings, kind, quoted
from headrace.core.authoring.input_values import FORMATS, check_value
from headrace.core.catalog.blueprint import TIMER, is_timer
from headrace.core.json import Json, JsonObject
from headrace.core.times import parse_iso

PROPERTY_FORMATS = {**FORMATS, "string": FORMATS["string"] - {"entity"} | {TIMER, "ipv4", "ipv6"}}
"""The formats of each type of property. An entity is pointed to by a relation, not by a property."""


def check_property(definition: JsonObject, value: Json, where: str, findings: Findings) -> None:
    """Report everything about `value` that the definition does not allow, at pointers that begin with `where`."""
    if is_timer(definition):
        if not isinstance(value, str):
            findings.error(where, "wrong-type", f"A timer must be a date and time as text; it is {kind(value)}.")
        elif instant_of(value) is None:
            message = f"{quoted(value)} is not a date and time with a time zone, like 2026-01-31T09:00:00Z."
            findings.error(where, "bad-format", message)
        return
    # unlike inputs of a form, objects in the catalog may have fields that nobody announced
    if definition.get("type") == "object" and "additionalProperties" not in definition:
        definition = {**definition, "additionalProperties": True}
    check_value(definition, value, where, findings)
    name = definition.get("format")
    if name in ("ipv4", "ipv6") and isinstance(value, str) and not _is_address(value, name):
        findings.error(where, "bad-format", f"{quoted(value)} is not an IP address of version {name[-1]}.")


def instant_of(value: Json) -> int | None:
    """The instant that the value of a timer names (ms); None when it names none."""
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        return parse_iso(value)
    except (ValueError, OverflowError):
        return None


def _is_address(value: str, name: Json) -> bool:
    try:
        ipaddress.IPv4Address(value) if name == "ipv4" else ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True
