"""What every DefinitionStore adapter promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.core.json import JsonObject
from headrace.ports.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from headrace.ports.stores import DefinitionStore, WorkflowVersion
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START

Harness = StoreHarness[DefinitionStore]


def document(title: str) -> JsonObject:
    return {"title": title, "nodes": [{"identifier": "a", "n": 1.5}], "x": {"€": None, "$where": "a.b"}}


class DefinitionStoreSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[Harness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    async def test_a_new_workflow_has_version_one(self, harness: Harness) -> None:
        created = await harness.store.create("deploy", document("1"), "ann", START)

        assert created == WorkflowVersion("deploy", 1, document("1"), "ann", START, "ann", START)
        assert await harness.store.latest("deploy") == created
        assert await harness.store.version("deploy", 1) == created

    async def test_an_unknown_workflow_is_none(self, harness: Harness) -> None:
        assert await harness.store.latest("none") is None
        assert await harness.store.version("none", 1) is None
        assert await harness.store.versions("none") == []
        assert await harness.store.all() == []

    async def test_an_update_makes_the_next_version_and_leaves_the_older_ones_alone(self, harness: Harness) -> None:
        first = await harness.store.create("deploy", document("1"), "ann", START)

        second = await harness.store.update("deploy", document("2"), "bob", START + 5)

        assert second == WorkflowVersion("deploy", 2, document("2"), "ann", START, "bob", START + 5)
        assert await harness.store.version("deploy", 1) == first
        assert await harness.store.versions("deploy") == [second, first]
        assert await harness.store.version("deploy", 3) is None
        assert await harness.store.version("deploy", 0) is None
        assert await harness.store.version("deploy", -1) is None

    async def test_who_changes_a_document_after_handing_it_in_changes_no_version(self, harness: Harness) -> None:
        mine = document("1")
        await harness.store.create("deploy", mine, "ann", START)

        mine["title"] = "changed"
        nodes = mine["nodes"]
        assert isinstance(nodes, list)
        nodes.clear()

        latest = await harness.store.latest("deploy")
        assert latest is not None
        assert latest.document == document("1")

    async def test_a_mebibyte_of_document_comes_back_in_every_version(self, harness: Harness) -> None:
        big: JsonObject = {"title": "€" * 350_000}
        await harness.store.create("$where", big, "$$ROOT", START)

        second = await harness.store.update("$where", {**big, "n": 2}, "$by", START)

        assert await harness.store.latest("$where") == second
        assert second.created_by == "$$ROOT"
        first = await harness.store.version("$where", 1)
        assert first is not None
        assert first.document == big

    async def test_of_two_who_create_one_workflow_one_wins(self, harness: Harness) -> None:
        results = await asyncio.gather(
            *(harness.store.create("deploy", document(f"by {i}"), "ann", START) for i in range(5)),
            return_exceptions=True,
        )

        winners = [result for result in results if isinstance(result, WorkflowVersion)]
        assert len(winners) == 1
        assert sum(isinstance(result, AlreadyExistsError) for result in results) == 4
        assert await harness.store.versions("deploy") == winners

    async def test_a_workflow_is_not_created_twice(self, harness: Harness) -> None:
        first = await harness.store.create("deploy", document("1"), "ann", START)

        with pytest.raises(AlreadyExistsError):
            await harness.store.create("deploy", document("2"), "bob", START + 1)

        assert await harness.store.versions("deploy") == [first]

    async def test_an_update_that_expects_the_latest_version_is_accepted(self, harness: Harness) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)

        assert (await harness.store.update("deploy", document("2"), "ann", START, expected_version=1)).version == 2

    @pytest.mark.parametrize("expected", [0, 1, 3])
    async def test_an_update_that_expects_another_version_changes_nothing(
        self, harness: Harness, expected: int
    ) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)
        second = await harness.store.update("deploy", document("2"), "ann", START)
        revision = await harness.store.revision()

        with pytest.raises(VersionConflictError):
            await harness.store.update("deploy", document("3"), "bob", START, expected_version=expected)

        assert await harness.store.latest("deploy") == second
        assert await harness.store.revision() == revision

    async def test_of_two_updates_that_expect_one_version_one_wins(self, harness: Harness) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)

        results = await asyncio.gather(
            *(harness.store.update("deploy", document(f"by {i}"), "bob", START, expected_version=1) for i in range(5)),
            return_exceptions=True,
        )

        winners = [result for result in results if isinstance(result, WorkflowVersion)]
        assert len(winners) == 1
        assert sum(isinstance(result, VersionConflictError) for result in results) == 4
        assert await harness.store.latest("deploy") == winners[0]

    async def test_what_is_not_there_is_neither_updated_nor_deleted(self, harness: Harness) -> None:
        with pytest.raises(NotFoundError):
            await harness.store.update("none", document("1"), "ann", START)
        with pytest.raises(NotFoundError):
            await harness.store.update("none", document("1"), "ann", START, expected_version=1)
        with pytest.raises(NotFoundError):
            await harness.store.delete("none", "ann", START)

    async def test_a_deleted_workflow_keeps_its_versions_and_says_so(self, harness: Harness) -> None:
        first = await harness.store.create("deploy", document("1"), "ann", START)
        await harness.store.update("deploy", document("2"), "ann", START + 1)

        deleted = await harness.store.delete("deploy", "bob", START + 2)

        assert (deleted.version, deleted.deleted, deleted.document) == (2, True, document("2"))
        assert (deleted.updated_by, deleted.updated_at) == ("bob", START + 2)
        assert await harness.store.latest("deploy") == deleted
        assert await harness.store.version("deploy", 1) == first
        assert await harness.store.all() == []
        assert await harness.store.all(include_deleted=True) == [deleted]

    async def test_a_deleted_workflow_is_neither_updated_nor_deleted_again(self, harness: Harness) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)
        await harness.store.delete("deploy", "ann", START)

        with pytest.raises(NotFoundError):
            await harness.store.update("deploy", document("2"), "ann", START)
        with pytest.raises(NotFoundError):
            await harness.store.delete("deploy", "ann", START)

    async def test_a_deleted_workflow_is_created_again_as_the_next_version(self, harness: Harness) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)
        await harness.store.delete("deploy", "ann", START + 1)

        created = await harness.store.create("deploy", document("2"), "bob", START + 2)

        assert created == WorkflowVersion("deploy", 2, document("2"), "bob", START + 2, "bob", START + 2)
        assert await harness.store.all() == [created]
        old = await harness.store.version("deploy", 1)
        assert old is not None
        assert old.document == document("1")

    async def test_all_lists_the_newest_version_of_each_by_identifier(self, harness: Harness) -> None:
        for identifier in ("scale", "audit", "deploy"):
            await harness.store.create(identifier, document("1"), "ann", START)
        await harness.store.update("audit", document("2"), "ann", START)

        versions = await harness.store.all()

        assert [(v.identifier, v.version) for v in versions] == [("audit", 2), ("deploy", 1), ("scale", 1)]

    async def test_the_revision_grows_with_every_change_and_with_nothing_else(self, harness: Harness) -> None:
        revisions = [await harness.store.revision()]
        await harness.store.create("deploy", document("1"), "ann", START)
        revisions.append(await harness.store.revision())
        await harness.store.update("deploy", document("2"), "ann", START)
        revisions.append(await harness.store.revision())
        await harness.store.delete("deploy", "ann", START)
        revisions.append(await harness.store.revision())
        await harness.store.create("deploy", document("3"), "ann", START)
        revisions.append(await harness.store.revision())

        assert revisions == sorted(set(revisions))
        await harness.store.all()
        with pytest.raises(AlreadyExistsError):
            await harness.store.create("deploy", document("3"), "ann", START)
        assert await harness.store.revision() == revisions[-1]


class DurableDefinitionStoreSuite(DefinitionStoreSuite):
    async def test_everything_outlives_the_process(self, harness: Harness) -> None:
        await harness.store.create("deploy", document("1"), "ann", START)
        await harness.store.update("deploy", document("2"), "bob", START + 1)
        await harness.store.delete("deploy", "cid", START + 2)
        await harness.store.create("deploy", document("3"), "dan", START + 3)
        await harness.store.create("audit", document("1"), "ann", START + 4)
        await harness.store.delete("audit", "ann", START + 5)
        versions = await harness.store.versions("deploy")
        everything = await harness.store.all(include_deleted=True)
        revision = await harness.store.revision()

        await harness.reopen()

        assert await harness.store.versions("deploy") == versions
        assert await harness.store.all(include_deleted=True) == everything
        assert await harness.store.revision() == revision
        assert (await harness.store.update("deploy", document("4"), "ann", START, expected_version=3)).version == 4
        assert await harness.store.revision() > revision
