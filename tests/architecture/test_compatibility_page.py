"""docs/compatibility.md: every row is held by a test that is there."""

import re

import pytest

from tools import sources

PAGE = (sources.ROOT / "docs/compatibility.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]


def test_every_feature_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| **", "| feature"))]

    assert len(rows) == len(ROWS) > 50
    assert all(len(row) == 4 for row in ROWS)


@pytest.mark.parametrize("reference", [row[3].strip("`") for row in ROWS])
def test_the_test_is_there(reference: str) -> None:
    file, _, name = reference.partition("::")

    assert re.search(rf"^\s*(async )?def {name}\(", (sources.ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
