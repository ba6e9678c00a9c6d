"""docs/mongodb.md names every setting and every index as they are."""

import re

from pydantic_core import PydanticUndefined

from headrace.adapters.mongo import MongoSettings
from headrace.adapters.mongo.indexes import COLLECTIONS, INDEXES, Index
from tools import sources

PAGE = (sources.ROOT / "docs" / "mongodb.md").read_text(encoding="utf-8")


def rows_under(heading: str) -> list[list[str]]:
    table = re.search(rf"^\| {heading} \|.*\n(?:\|.*\n)+", PAGE, flags=re.MULTILINE)
    assert table
    return [[cell.strip().replace("`", "") for cell in line[1:-1].split("|")] for line in table[0].splitlines()[2:]]


def described(index: Index) -> str:
    marks = [mark for mark, holds in (("sparse", index.sparse), ("TTL", index.is_ttl)) if holds]
    if index.only_with:
        marks.append(f"only with {index.only_with}")
    keys = ", ".join(f"{name} ↓" if direction < 0 else name for name, direction in index.keys)
    return f"{keys} ({', '.join(marks)})" if marks else keys


def test_the_page_names_every_setting_with_its_default() -> None:
    fields = MongoSettings.model_fields.items()

    assert {name: default for name, default, _ in rows_under("setting")} == {
        name: "required" if field.default is PydanticUndefined else str(field.default) for name, field in fields
    }


def test_the_page_names_every_index_with_its_keys_and_its_purpose() -> None:
    assert rows_under("index") == [
        [f"{index.collection}.{index.name}", described(index), index.purpose] for index in INDEXES
    ]


def test_the_page_names_every_collection() -> None:
    assert [row[0] for row in rows_under("collection")] == list(COLLECTIONS)
