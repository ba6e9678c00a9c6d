"""CloudEvents 1.0 in records: binary mode out, binary and structured mode in (CloudEvents Kafka protocol binding).

Only what the engine needs: attributes as text, data as bytes or JSON. `(source, id)` names an event; nothing else does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.contracts.record import Headers
from headrace.core.errors import HeadraceError, pointer
from headrace.core.json import Json, JsonObject

PREFIX = "ce_"
CONTENT_TYPE = "content-type"
JSON_CONTENT_TYPE = b"application/json"
STRUCTURED_PREFIX = "application/cloudevents"
STRUCTURED_JSON = "application/cloudevents+json"

_CORE = frozenset(
    ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64")
)


class BadCloudEventError(HeadraceError):
    """Not a CloudEvent as the specification says. `where` is a header's name or a JSON Pointer."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Attributes:
    """The context attributes of one CloudEvent. `extensions` holds whatever else came, by lower-case name."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    extensions: dict[str, str] = field(default_factory=dict)


def is_structured(content_type: str) -> bool:
    """Whether the record's value holds the whole event. Anything that is not structured counts as binary."""
    return content_type[: len(STRUCTURED_PREFIX)].lower() == STRUCTURED_PREFIX


def binary_headers(attributes: Attributes) -> Headers:
    """The headers of a record whose value is the event's data, as JSON."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", attributes.id.encode()),
        ("ce_source", attributes.source.encode()),
        ("ce_type", attributes.type.encode()),
        (CONTENT_TYPE, JSON_CONTENT_TYPE),
    ]
    if attributes.time is not None:
        headers.append(("ce_time", attributes.time.encode()))
    if attributes.subject is not None:
        headers.append(("ce_subject", attributes.subject.encode()))
    headers.extend((PREFIX + name, value.encode()) for name, value in attributes.extensions.items())
    return tuple(headers)


def parse_binary(headers: dict[str, str]) -> Attributes:
    """The attributes of an event in binary mode. `headers` has lower-case names. Raises BadCloudEventError."""
    given = {name[len(PREFIX) :]: value for name, value in headers.items() if name.startswith(PREFIX)}
    _check_json(headers.get(CONTENT_TYPE), CONTENT_TYPE)
    return _attributes(given, lambda name: PREFIX + name)


def parse_structured(event: Json, content_type: str) -> tuple[Attributes, JsonObject]:
    """The attributes and the data of an event in structured mode; data is a JSON object. Raises BadCloudEventError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != STRUCTURED_JSON:
        raise BadCloudEventError(CONTENT_TYPE, f"only {STRUCTURED_JSON} is read, not {kind!r}")
    if not isinstance(event, dict):
        raise BadCloudEventError("", "must be a JSON object")
    given: dict[str, str] = {}
    for name, value in event.items():
        if name in ("data", "data_base64") or value is None:
            continue
        if isinstance(value, str):
            given[name] = value
        elif name == "traceparent":
            continue  # malformed, and no event is refused for that
        elif name in _CORE or isinstance(value, dict | list | float):
            raise BadCloudEventError(pointer(name), "must be a string")
        else:  # an extension may be a boolean or an integer; as text it reads as in binary mode
            given[name] = str(value).lower()
    attributes = _attributes(given, pointer)
    _check_json(given.get("datacontenttype"), pointer("datacontenttype"))
    data = event.get("data")
    if not isinstance(data, dict):
        raise BadCloudEventError("/data", "must be a JSON object")
    return attributes, data


def _attributes(given: dict[str, str], where: Callable[[str], str]) -> Attributes:
    for name in ("specversion", "id", "source", "type"):
        if not given.get(name):
            raise BadCloudEventError(where(name), "is required and must not be empty")
    if not given["specversion"].startswith("1."):
        raise BadCloudEventError(where("specversion"), f"must be 1.0, not {given['specversion'][:20]!r}")
    extensions = {name: value for name, value in given.items() if name not in _CORE}
    return Attributes(given["id"], given["source"], given["type"], given.get("subject"), given.get("time"), extensions)


def _check_json(content_type: str | None, where: str) -> None:
    if content_type is None:
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise BadCloudEventError(where, f"data must be JSON (application/json), not {kind[:100]!r}")
