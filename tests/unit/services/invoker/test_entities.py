"""UPSERT_ENTITY: into the built-in catalog, and into a remote one that speaks Port's API (spec 3.7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedLog
from headrace.contracts.entity_change import decode_entity_change
from headrace.core import ids
from headrace.core.commands import InvokeNode, Succeeded
from headrace.core.run import Causation
from headrace.ports.catalog import StoredBlueprint
from headrace.runtime.catalog import CatalogWriter
from headrace.runtime.catalog_sweep import CatalogSweeper
from headrace_invoker.actions.entities import BuiltInEntities, EntityPerformer
from headrace_invoker.actions.settings import RemoteCatalog
from tests.conformance.samples import START, ManualClock
from tests.thirdparty.base import GARBAGE, answering, closing, flooding, truncating
from tests.thirdparty.port_catalog import CLIENT, PortCatalog
from tests.unit.services.invoker.desk import NODE_RUN, Desk, node_request
from tests.unit.services.invoker.workshop import TOPICS
from tests.unit.services.parts import Faulty

DERIVED = ids.derive("entity", NODE_RUN)
BLUEPRINT: Any = {
    "identifier": "deployment",
    "schema": {"properties": {"tag": {"type": "string"}, "replicas": {"type": "number"}}, "required": ["tag"]},
    "relations": {"owners": {"target": "deployment", "many": True}},
}
ENTITIES = "/entities"
MINUTE = 60_000


def upsert(blueprint: Any = "deployment", **mapping: Any) -> InvokeNode:
    return node_request("UPSERT_ENTITY", {"blueprintIdentifier": blueprint, "mapping": mapping})


class House:
    """A desk with a built-in catalog, whose store fails on demand."""

    def __init__(self) -> None:
        self.log = Faulty(EmbeddedLog(ManualClock(), partitions=1))
        self.desk = Desk.at("http://127.0.0.1:1", self.log)

    @property
    def catalog(self) -> Any:
        return self.desk.catalog

    async def events(self) -> list[Any]:
        return [decode_entity_change(one) for one in await self.log.port.read(TOPICS.entity_changes, 0)]

    async def stored(self, identifier: str = "api-7") -> Any:
        return (await self.catalog.port.load([f"deployment/{identifier}"]))[f"deployment/{identifier}"]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = House()
    await opened.catalog.port.save_blueprint(StoredBlueprint("deployment", BLUEPRINT, 0, "a", START, "a", START))
    yield opened
    await opened.desk.close()


async def test_an_entity_is_created_and_shown_in_full(house: House) -> None:
    await house.desk.ask(upsert(identifier="api-7", title="Api", properties={"tag": "v7", "replicas": 3}))

    entity: Any = house.desk.done.output["response"]
    assert entity["data"]["identifier"] == "api-7"
    assert entity["data"]["properties"] == {"tag": "v7", "replicas": 3}
    assert entity["data"]["createdBy"] == "headrace:workflow"
    assert (await house.stored()).entity.title == "Api"
    assert house.desk.lines == ['Wrote the entity "api-7" of blueprint "deployment".']


async def test_the_given_fields_of_a_known_one_change_and_no_others(house: House) -> None:
    await house.desk.ask(upsert(identifier="api-7", title="Api", properties={"tag": "v7", "replicas": 3}))
    await house.desk.ask(upsert(identifier="api-7", properties={"tag": "v8"}))

    entity = (await house.stored()).entity
    assert (entity.title, entity.properties) == ("Api", {"tag": "v8", "replicas": 3})
    assert [event.action for event in await house.events()] == ["CREATE", "UPDATE"]


async def test_the_same_attempt_again_changes_nothing_and_makes_no_second_event(house: House) -> None:
    request = upsert(properties={"tag": "v7"})
    await house.desk.ask(request)
    await house.desk.ask(request, doubtful=True)

    assert house.desk.outcomes[0] == house.desk.outcomes[1]
    assert (await house.stored(DERIVED)).rev == 0
    assert len(await house.events()) == 1


async def _die() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("where", ["catalog.save", "log.publish", "catalog.mark_sent"])
async def test_a_process_that_dies_at_any_step_leaves_one_entity_and_one_event_behind(house: House, where: str) -> None:
    port, verb = where.split(".")
    request = upsert(properties={"tag": "v7"})
    (house.catalog if port == "catalog" else house.log).before[verb] = _die
    with pytest.raises(asyncio.CancelledError):
        await house.desk.ask(request)

    await house.desk.ask(request, doubtful=True)
    house.desk.clock.at += MINUTE
    sweeper = CatalogSweeper(house.catalog, house.log, house.desk.clock, TOPICS)
    await sweeper.resend()

    assert house.desk.done.output["response"]
    assert (await house.stored(DERIVED)).rev == 0
    assert len({event.event_id for event in await house.events()}) == 1
    assert await sweeper.resend() == 0


@pytest.mark.parametrize("mapping", [{}, {"identifier": None}])
async def test_an_entity_without_a_name_gets_one_of_its_node_run(house: House, mapping: dict[str, Any]) -> None:
    await house.desk.ask(upsert(properties={"tag": "v7"}, **mapping))

    assert (await house.stored(DERIVED)).entity.identifier == DERIVED


async def test_names_that_a_template_read_as_numbers_are_texts(house: House) -> None:
    await house.desk.ask(upsert(identifier=42, title=7, properties={"tag": "v7"}))

    assert (await house.stored("42")).entity.title == "7"


async def test_the_event_carries_the_chain_of_runs_that_led_to_it(house: House) -> None:
    cause = Causation("evt_1", "evt_0", 2, ("first", "second"), "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    await house.desk.ask(replace(upsert(properties={"tag": "v7"}), causation=cause))

    (event,) = await house.events()
    assert (event.causation.root_event_id, event.causation.depth) == ("evt_0", 3)
    assert event.causation.chain == ("first", "second", "flow")
    assert event.causation.traceparent == cause.traceparent
    assert event.event["trigger"]["origin"] == "AUTOMATION"


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (upsert("nothing"), 404, 'there is no blueprint "nothing"'),
        (upsert(properties={"replicas": 1}), 422, '"tag"'),
        (upsert(properties={"tag": 5}), 422, "/properties/tag"),
        (upsert(properties={"tag": "x"}, relations={"owners": ["nobody"]}), 422, "nobody"),
    ],
)
async def test_what_the_catalog_refuses_fails_with_its_reason(
    house: House, request_: InvokeNode, status: int, reason: str
) -> None:
    await house.desk.ask(request_)

    failed = house.desk.failed
    assert not failed.retryable
    assert reason in failed.message
    assert failed.output == {"response": {"status": status, "data": {"ok": False, "message": failed.message}}}
    assert await house.events() == []


@pytest.mark.parametrize("config", [{"blueprintIdentifier": None}, {"blueprintIdentifier": 5}, {"mapping": ["x"]}])
async def test_templates_that_give_nonsense_are_named(house: House, config: Any) -> None:
    await house.desk.ask(node_request("UPSERT_ENTITY", {"blueprintIdentifier": "deployment", "mapping": {}, **config}))

    assert house.desk.failed.kind == "invalid"
    assert f"`{next(iter(config))}`" in house.desk.failed.message


@pytest.mark.parametrize("after", [False, True])
async def test_a_store_that_does_not_answer_is_waited_for(house: House, after: bool) -> None:
    house.catalog.fail("save", 2, after=after)

    await house.desk.ask(upsert(properties={"tag": "v7"}))

    assert house.desk.done.output["response"]
    unpublished = (await house.stored(DERIVED)).outbox  # of a save whose answer was lost: the sweep publishes it
    assert (len(unpublished), len(await house.events())) == ((1, 0) if after else (0, 1))


@pytest.mark.parametrize(("delivery", "kind"), [("at_least_once", "connection"), ("at_most_once", "unknown-outcome")])
async def test_a_store_that_stays_away_fails_the_attempt(house: House, delivery: Any, kind: str) -> None:
    house.catalog.fail("save", 1_000)
    store: Any = house.catalog
    clock = house.desk.clock
    writer = CatalogWriter(store, house.log, clock, TOPICS)
    performer = EntityPerformer(BuiltInEntities(writer, clock, wait_seconds=0.0), clock)

    performance = await performer.perform(replace(upsert(properties={"tag": "v7"}), delivery=delivery), False)

    failed: Any = performance.outcome
    assert (failed.kind, failed.retryable) == (kind, delivery == "at_least_once")
    assert "does not answer" in failed.message


@pytest.fixture
async def port() -> AsyncIterator[PortCatalog]:
    server = PortCatalog()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def desk(port: PortCatalog) -> AsyncIterator[Desk]:
    opened = Desk.at(port.url, remote_catalog=remote(port))
    yield opened
    await opened.close()


def remote(port: PortCatalog, secret: str = CLIENT[1]) -> RemoteCatalog:
    return RemoteCatalog.model_validate({"url": port.url, "client_id": CLIENT[0], "client_secret": secret})


async def test_a_remote_catalog_is_told_with_upsert_and_merge(port: PortCatalog, desk: Desk) -> None:
    await desk.ask(upsert(identifier="api-7", properties={"tag": "v7"}))
    await desk.ask(upsert(identifier="api-7", properties={"replicas": 3}, relations={"owners": ["a"]}))

    assert desk.done.output["response"] == {"data": port.entities["deployment", "api-7"]}
    assert port.entities["deployment", "api-7"]["properties"] == {"tag": "v7", "replicas": 3}
    assert [call.query for call in port.at("POST", ENTITIES)] == [{"upsert": "true", "merge": "true"}] * 2
    assert len(port.at("POST", "access_token")) == 1


async def test_an_entity_without_a_name_gets_one_there_too_so_that_a_repetition_makes_no_second(
    port: PortCatalog, desk: Desk
) -> None:
    port.go_wrong("POST", ENTITIES, closing, after=True)
    await desk.ask(upsert(properties={"tag": "v7"}))
    assert desk.failed.retryable
    await desk.ask(upsert(properties={"tag": "v7"}), doubtful=True)

    assert list(port.entities) == [("deployment", DERIVED)]


async def test_a_token_is_replaced_when_it_ends_and_when_it_is_refused(port: PortCatalog, desk: Desk) -> None:
    await desk.ask(upsert(properties={"tag": "v1"}))
    desk.clock.at += 10_800_000
    await desk.ask(upsert(properties={"tag": "v2"}))
    port.tokens.clear()
    await desk.ask(upsert(properties={"tag": "v3"}))

    assert desk.done.output["response"]
    assert len(port.at("POST", "access_token")) == 3


async def test_wrong_credentials_are_said_and_not_shown(port: PortCatalog) -> None:
    desk = Desk.at(port.url, remote_catalog=remote(port, "wrong-secret-9876543210"))
    await desk.ask(upsert(properties={"tag": "v1"}))
    await desk.close()

    assert "Check HEADRACE_REMOTE_CATALOG__CLIENT_ID and __CLIENT_SECRET." in desk.failed.message
    assert desk.failed.output is None
    assert not desk.failed.retryable
    assert "wrong-secret" not in repr(desk.outcomes) + repr(desk.lines)


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [(upsert("nothing"), 404, "was not found"), (upsert(properties={"bad": 1}), 422, "is not a property")],
)
async def test_what_a_remote_catalog_refuses_is_told_in_its_words(
    port: PortCatalog, desk: Desk, request_: InvokeNode, status: int, said: str
) -> None:
    await desk.ask(request_)

    failed: Any = desk.failed
    assert (failed.kind, failed.retryable) == ("status", False)
    assert said in failed.message
    assert failed.output["response"]["status"] == status


@pytest.mark.parametrize(
    "mishap",
    [closing, truncating, GARBAGE, flooding, answering(503, {"message": "Down"}), answering(200, {"ok": True})],
)
async def test_an_answer_that_is_none_may_be_tried_again(port: PortCatalog, desk: Desk, mishap: Any) -> None:
    port.go_wrong("POST", ENTITIES, mishap)

    await desk.ask(upsert(properties={"tag": "v1"}))

    assert desk.failed.retryable
    assert "the remote catalog" in desk.failed.message


async def test_a_limited_rate_names_the_time(port: PortCatalog, desk: Desk) -> None:
    port.go_wrong("POST", ENTITIES, answering(429, {"message": "Too many requests"}, retry_after="7"))

    await desk.ask(upsert(properties={"tag": "v1"}))

    assert desk.failed.retry_after_seconds == 7
    assert desk.failed.retryable


async def test_what_must_not_be_repeated_is_not_when_the_answer_is_lost(port: PortCatalog, desk: Desk) -> None:
    port.go_wrong("POST", ENTITIES, closing, after=True)

    await desk.ask(replace(upsert(properties={"tag": "v1"}), delivery="at_most_once"))

    assert (desk.failed.kind, desk.failed.retryable) == ("unknown-outcome", False)


async def test_many_at_once_take_one_token(port: PortCatalog, desk: Desk) -> None:
    async def write(number: int) -> None:
        await desk.ask(upsert(identifier=f"api-{number}", properties={"tag": "v1"}))

    await asyncio.gather(*(write(number) for number in range(20)))
    port.tokens.clear()
    await asyncio.gather(*(write(number) for number in range(20)))

    assert len(desk.outcomes) == 40
    assert all(isinstance(outcome, Succeeded) for outcome in desk.outcomes)
    assert len(port.at("POST", "access_token")) == 2


async def test_a_token_that_nobody_could_get_is_asked_for_again(port: PortCatalog, desk: Desk) -> None:
    port.go_wrong("POST", "access_token", answering(503, {"message": "Down"}))
    await desk.ask(upsert(properties={"tag": "v1"}))
    assert desk.failed.retryable

    await desk.ask(upsert(properties={"tag": "v1"}))

    assert desk.done.output["response"]


@pytest.mark.parametrize("blueprint", ["..", ".", "a/../b", "a?b", "dépl"])
async def test_a_name_from_a_template_cannot_lead_to_another_address(
    port: PortCatalog, desk: Desk, blueprint: str
) -> None:
    await desk.ask(upsert(blueprint, properties={"tag": "v1"}))

    assert not desk.failed.retryable
    assert all(call.path.startswith("/v1/blueprints/") for call in port.at("POST", ENTITIES))
    assert len(port.at("POST", ENTITIES)) == (blueprint.strip(".") != "")
