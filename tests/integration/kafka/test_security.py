"""TLS, SASL and access rights, on a broker that asks for all three."""

import asyncio

import pytest

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaRefusedError, KafkaSettings, TopicError
from headrace.adapters.kafka.connection import connected, partition_counts
from headrace.adapters.kafka.topics import TopicSpec, create_topics
from headrace.ports.log import Message
from tests.integration.guarded import Guarded
from tests.integration.kafka.test_publishing import read

pytestmark = pytest.mark.xdist_group("servers")


def as_user(server: str, user: str, password: str, **more: object) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": server, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
            "sasl_username": user, "sasl_password": password, "publish_timeout_ms": 5_000, **more,
        }
    )  # fmt: skip


async def refusal(settings: KafkaSettings) -> str:
    log = KafkaLog(settings, SystemClock())
    with pytest.raises(KafkaRefusedError) as caught:
        async with asyncio.timeout(10):
            await log.start()
    await log.close()
    return str(caught.value)


async def test_who_has_the_password_gets_in_and_who_has_not_is_told_so(guarded: Guarded) -> None:
    trusted = {"security_protocol": "SASL_SSL", "ssl_ca_file": guarded.authority}
    admin = as_user(guarded.sasl_tls, "admin", "admin-secret", **trusted)
    await create_topics(admin, [TopicSpec("orders", 1)], 2)
    log = KafkaLog(admin, SystemClock())
    await log.start()
    await log.publish([Message("orders", "k", b"over TLS")])
    consumer = await log.subscribe("readers", ["orders"])
    assert [record.value for record in await read(consumer, 1)] == [b"over TLS"]
    assert sum((await log.lag("readers")).values()) == 1
    for asking in (
        log.subscribe("readers", ["missing"]),
        log.tail(["missing"]),
        log.publish([Message("missing", "", b"")]),
    ):
        with pytest.raises(TopicError, match="missing"):
            await asking
    assert await partition_counts_of(admin, "missing") == {}, "nothing of ours makes a broker create topics"
    await log.close()

    assert "credentials" in await refusal(as_user(guarded.sasl, "admin", "wrong"))
    assert "certificate" in await refusal(
        as_user(guarded.sasl_tls, "admin", "admin-secret", security_protocol="SASL_SSL")
    )
    scram = await refusal(as_user(guarded.sasl, "admin", "admin-secret", sasl_mechanism="SCRAM-SHA-256"))
    assert "SCRAM-SHA-256" in scram or "SaslMechanism" in scram

    await who_lacks_rights_is_told_so(guarded)


async def partition_counts_of(settings: KafkaSettings, topic: str) -> dict[str, int]:
    async with connected(settings) as connection:
        return await partition_counts(connection, [topic])


async def who_lacks_rights_is_told_so(guarded: Guarded) -> None:
    ann = as_user(guarded.sasl, "ann", "ann-secret")
    assert "rights" in await refusal(ann)
    log = KafkaLog(ann, SystemClock())
    with pytest.raises(KafkaRefusedError, match="orders"):
        await log.subscribe("readers", ["orders"])
    with pytest.raises(KafkaRefusedError, match="orders"):
        await log.tail(["orders"])
    await log.close()
