"""What becomes of publishing when Kafka does not take what it is given."""

import asyncio
import secrets

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.partitioner import DefaultPartitioner

from headrace.adapters.kafka import KafkaLog, KafkaSettings, TopicError, connection
from headrace.ports.errors import RecordTooLargeError, UnavailableError
from headrace.ports.log import Consumer, Message, Record
from tests.integration.kafka.conftest import PARTITIONS, MakeLog


async def read(consumer: Consumer, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(15):
        while len(records) < count:
            records += await consumer.fetch(1_000, 1)
    return records


async def limit_topic(settings: KafkaSettings, topic: str, size: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap_servers))
    await admin.start()
    configs = {"max.message.bytes": str(size)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    await admin.close()


async def test_a_record_beyond_our_limit_is_refused_before_anything_is_sent(
    make_log: MakeLog, topic: str, group: str
) -> None:
    log = make_log(max_request_bytes=10_000)
    await log.start()

    with pytest.raises(RecordTooLargeError, match="10,000"):
        await log.publish([Message(topic, "k", b"small"), Message(topic, "k", bytes(10_000))])

    await log.publish([Message(topic, "k", b"next")])
    consumer = await log.subscribe(group, [topic])
    assert [record.value for record in await read(consumer, 1)] == [b"next"]


async def test_after_a_refusal_by_the_broker_the_next_record_still_gets_in(
    log: KafkaLog, settings: KafkaSettings, topic: str, group: str
) -> None:
    """An idempotent producer of the library that lost a batch is refused ever after: ours is made anew."""
    await log.publish([Message(topic, "k", b"first")])
    await limit_topic(settings, topic, 5_000)
    await asyncio.sleep(0.5)

    with pytest.raises(RecordTooLargeError, match=topic):
        await log.publish([Message(topic, "k", bytes(50_000))])
    await log.publish([Message(topic, "k", b"second")])

    consumer = await log.subscribe(group, [topic])
    assert [record.value for record in await read(consumer, 2)] == [b"first", b"second"]


async def test_a_refused_call_does_not_fail_those_that_shared_its_round(
    log: KafkaLog, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MISSING_SECONDS", 0.2)
    missing = f"missing.{secrets.token_hex(4)}"

    results = await asyncio.gather(
        log.publish([Message(topic, "a", b"1")]),
        log.publish([Message(missing, "a", b"2")]),
        log.publish([Message(topic, "b", b"3")]),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [type(None), TopicError, type(None)]
    assert missing in str(results[1])
    consumer = await log.subscribe(group, [topic])
    assert sorted(record.value or b"" for record in await read(consumer, 2)) == [b"1", b"3"]


async def test_a_topic_deleted_while_in_use_is_told_by_name(
    make_log: MakeLog, settings: KafkaSettings, topic: str
) -> None:
    log = make_log(publish_timeout_ms=2_000)
    await log.start()
    await log.publish([Message(topic, "k", b"1")])
    await delete(settings, topic)

    with pytest.raises(TopicError, match=topic):
        await log.publish([Message(topic, "k", b"2")])


async def delete(settings: KafkaSettings, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap_servers))
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


async def test_a_cancelled_publish_harms_no_other(log: KafkaLog, topic: str, group: str) -> None:
    calls = [asyncio.create_task(log.publish([Message(topic, f"k{i}", b"%d" % i)])) for i in range(50)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()

    results = await asyncio.gather(*calls, return_exceptions=True)
    await log.publish([Message(topic, "last", b"last")])

    assert results[1::2] == [None] * 25
    consumer = await log.subscribe(group, [topic])
    assert {b"%d" % i for i in range(1, 50, 2)} <= {record.value for record in await read(consumer, 26)}


async def test_keys_go_where_other_clients_of_kafka_put_them(log: KafkaLog, topic: str, group: str) -> None:
    keys = [f"run-{i}" for i in range(40)] + ["", "käse/€"]
    await log.publish([Message(topic, key, b"") for key in keys])

    consumer = await log.subscribe(group, [topic])
    records = await read(consumer, len(keys))

    everywhere = list(range(PARTITIONS))
    expected = {key: DefaultPartitioner()(key.encode(), everywhere, everywhere) for key in keys}
    assert {record.key: record.source.partition for record in records} == expected


async def test_a_closed_log_says_so(log: KafkaLog, topic: str, group: str) -> None:
    await log.close()
    await log.close()

    with pytest.raises(UnavailableError, match="closed"):
        await log.publish([Message(topic, "k", b"")])
    with pytest.raises(UnavailableError, match="closed"):
        await log.subscribe(group, [topic])
