"""Making and checking topics on a real broker."""

import secrets

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from headrace.adapters.kafka import KafkaSettings, TopicError
from headrace.adapters.kafka.topics import TopicsReport, check_topics, create_topics, topic_specs
from headrace.contracts.topics import TopicNames


@pytest.fixture
def names() -> TopicNames:
    return TopicNames(f"t{secrets.token_hex(4)}.")


async def make(settings: KafkaSettings, *topics: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap_servers))
    await admin.start()
    await admin.create_topics(list(topics))
    await admin.close()


async def configuration(settings: KafkaSettings, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap_servers))
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_all_topics_are_made_once_and_then_found(settings: KafkaSettings, names: TopicNames) -> None:
    specs = topic_specs(names)

    first = await create_topics(settings, specs, partitions=3)
    second = await create_topics(settings, specs, partitions=3)

    every = tuple(spec.name for spec in specs)
    assert first == TopicsReport(created=every, existing=(), differing=())
    assert second == TopicsReport(created=(), existing=every, differing=())
    await check_topics(settings, specs)


async def test_a_topic_is_made_as_the_table_says(settings: KafkaSettings, names: TopicNames) -> None:
    await create_topics(settings, topic_specs(names), partitions=2)

    commands = await configuration(settings, names.run_commands)
    letters = await configuration(settings, names.dead_letters(names.run_commands))

    day = 86_400_000
    assert (commands["retention.ms"], letters["retention.ms"]) == (str(3 * day), str(30 * day))
    assert commands["max.message.bytes"] == str(settings.max_request_bytes)
    assert commands["cleanup.policy"] == "delete"


async def test_what_differs_is_said_and_left_alone(settings: KafkaSettings, names: TopicNames) -> None:
    await make(settings, NewTopic(names.run_events, 1, 1, topic_configs={"retention.ms": "1000"}))

    report = await create_topics(settings, topic_specs(names), partitions=2)

    assert report.existing == (names.run_events,)
    assert f"{names.run_events}: 1 partitions, not 2" in report.differing
    assert f"{names.run_events}: retention.ms is 1000, not 604800000" in report.differing
    assert (await configuration(settings, names.run_events))["retention.ms"] == "1000"


async def test_missing_topics_are_all_named(settings: KafkaSettings, names: TopicNames) -> None:
    specs = topic_specs(names)
    await create_topics(settings, [spec for spec in specs if spec.name != names.node_results], partitions=1)

    with pytest.raises(TopicError, match=f"missing: {names.node_results}. Create them with: headrace init"):
        await check_topics(settings, specs)


async def test_topics_of_one_reader_must_have_equally_many_partitions(
    settings: KafkaSettings, names: TopicNames
) -> None:
    await make(settings, NewTopic(names.node_results, 3, 1))
    specs = topic_specs(names)
    await create_topics(settings, specs, partitions=2)

    with pytest.raises(TopicError) as caught:
        await check_topics(settings, specs)

    assert "the orchestrator needs its topics to have equally many partitions" in str(caught.value)
    assert f"{names.run_commands} has 2, {names.node_results} has 3" in str(caught.value)


async def test_more_replicas_than_brokers_are_refused_with_the_brokers_reason(
    settings: KafkaSettings, names: TopicNames
) -> None:
    greedy = settings.model_copy(update={"replication_factor": 5})

    with pytest.raises(TopicError, match=r"(?i)replication factor"):
        await create_topics(greedy, topic_specs(names), partitions=1)
