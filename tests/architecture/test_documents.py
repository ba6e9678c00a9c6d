"""The documents keep their own promises: links lead somewhere, decision records are numbered, listed and complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import sources

RECORDS = sources.ROOT / "docs" / "adr"
HEADINGS = ["Context", "Decision", "Rejected", "Figures", "Consequences"]


def dead_links(root: Path, page: Path) -> list[str]:
    """The relative links of a Markdown page that lead to no file."""
    text = re.sub(r"```.*?```", "", (root / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^()#\s]+)[^()]*\)", text)
    return [
        target
        for target in targets
        if not re.match(r"[a-z]+:", target) and not (root / page.parent / target).resolve().exists()
    ]


@pytest.mark.parametrize("page", sources.tracked(sources.ROOT, "*.md"), ids=str)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    assert dead_links(sources.ROOT, page) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("[web](https://example.com) [self](there.md#part) [gone](docs/gone.md)")

    assert dead_links(tmp_path, Path("there.md")) == ["docs/gone.md"]


def records() -> list[Path]:
    """The decision records, in order."""
    return sorted(RECORDS.glob("[0-9]*.md"))


def test_decision_records_are_numbered_without_gaps() -> None:
    assert [record.name[:5] for record in records()] == [f"{n:04}-" for n in range(1, len(records()) + 1)]


@pytest.mark.parametrize("record", records(), ids=lambda record: record.stem)
def test_a_decision_record_is_listed_and_has_every_part(record: Path) -> None:
    text = record.read_text(encoding="utf-8")

    assert f"({record.name})" in (RECORDS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == HEADINGS


def test_the_scripts_that_decision_records_name_exist() -> None:
    named = {
        name
        for page in RECORDS.glob("*.md")
        for name in re.findall(r"python -m (bench\.\w+)", page.read_text(encoding="utf-8"))
    }

    assert named
    for name in named:
        assert sources.ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file(), name
