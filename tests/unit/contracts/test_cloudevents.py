"""CloudEvents: headers out, both modes in."""

from typing import Any

import pytest

from headrace.contracts.cloudevents import (
    Attributes,
    BadCloudEventError,
    binary_headers,
    is_structured,
    parse_binary,
    parse_structured,
)

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/x", "type": "a.b", "data": {"a": 1}}
JSON = "application/cloudevents+json"


def test_attributes_come_back_from_binary_headers() -> None:
    attributes = Attributes("1", "/x", "a.b", "subject ü", "2026-11-22T09:00:00Z", {"causationdepth": "2"})

    headers = binary_headers(attributes)

    assert parse_binary({name: value.decode() for name, value in headers}) == attributes


def test_attributes_that_are_not_given_make_no_headers() -> None:
    names = [name for name, _ in binary_headers(Attributes("1", "/x", "a.b"))]

    assert names == ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"]


@pytest.mark.parametrize(
    ("content_type", "structured"),
    [
        ("application/cloudevents+json", True),
        ("APPLICATION/CloudEvents+JSON; charset=utf-8", True),
        ("application/cloudevents", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_the_content_type_tells_structured_from_binary_in_any_case(content_type: str, structured: bool) -> None:
    assert is_structured(content_type) is structured


def test_a_structured_event_gives_attributes_and_data() -> None:
    attributes, data = parse_structured({**EVENT, "flag": True, "count": 3, "none": None, "subject": "s"}, JSON)

    assert attributes == Attributes("1", "/x", "a.b", "s", None, {"flag": "true", "count": "3"})
    assert data == {"a": 1}


@pytest.mark.parametrize(
    ("event", "content_type", "where"),
    [
        (EVENT, "application/cloudevents-batch+json", "content-type"),
        (EVENT, "application/cloudevents+avro", "content-type"),
        ([], JSON, ""),
        ({**EVENT, "id": 7}, JSON, "/id"),
        ({**EVENT, "id": ""}, JSON, "/id"),
        ({**EVENT, "source": None}, JSON, "/source"),
        ({**EVENT, "specversion": "2.0"}, JSON, "/specversion"),
        ({**EVENT, "extra": {}}, JSON, "/extra"),
        ({**EVENT, "datacontenttype": "text/plain"}, JSON, "/datacontenttype"),
        ({**EVENT, "data": "text"}, JSON, "/data"),
        ({key: value for key, value in EVENT.items() if key != "data"} | {"data_base64": "e30="}, JSON, "/data"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_its_place(event: Any, content_type: str, where: str) -> None:
    with pytest.raises(BadCloudEventError) as refused:
        parse_structured(event, content_type)

    assert refused.value.where == where


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.me+json", None])
def test_json_of_any_name_is_taken_in_binary_mode(content_type: str | None) -> None:
    headers = {name: value.decode() for name, value in binary_headers(Attributes("1", "/x", "a.b"))}
    del headers["content-type"]
    if content_type is not None:
        headers["content-type"] = content_type

    assert parse_binary(headers).id == "1"
