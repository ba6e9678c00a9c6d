"""Making topics, and checking that they are there and fit each other.

Topics are made on purpose, by `headrace init`: what a broker makes by itself has one partition and keeps a week.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from headrace.adapters.kafka.connection import (
    client_arguments,
    connected,
    find_topics,
    partition_counts,
    what_is_too_old,
)
from headrace.adapters.kafka.errors import TopicError, translate
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.contracts.topics import DEAD_LETTER_RETENTION_DAYS, RUNS, TOPICS, TopicNames

_DAY_MS: Final = 86_400_000
_SERVICES: Final = ("trigger", "orchestrator", "invoker")
_REPLICAS: Final = 3


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be. `reader` is the service that reads it in a group, or none.

    Topics of one reader need equal partition counts, so that a run's commands and results meet in one process.
    `single` topics have one partition whatever the others have.
    """

    name: str
    retention_days: int
    reader: str | None = None
    single: bool = False


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What `create_topics` did and found. `differing` says per topic, in words, what is not as it should be."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    differing: tuple[str, ...]


def topic_specs(names: TopicNames, installations: Sequence[str] = ()) -> tuple[TopicSpec, ...]:
    """All our topics under a prefix, those for dead letters and those of installations included."""
    specs: list[TopicSpec] = []
    for topic in TOPICS:
        reader = next((it for it in topic.readers if it in _SERVICES), None)
        specs.append(TopicSpec(names.name(topic), topic.retention_days, reader))
        if reader is not None:
            dead_letters = names.dead_letters(names.name(topic))
            specs.append(TopicSpec(dead_letters, DEAD_LETTER_RETENTION_DAYS, single=True))
    specs.extend(TopicSpec(names.installation(name), RUNS.retention_days) for name in installations)
    return tuple(specs)


async def create_topics(settings: KafkaSettings, specs: Iterable[TopicSpec], partitions: int) -> TopicsReport:
    """Make the topics that are missing; those that exist are left as they are. May be called again and again.

    Raises UnavailableError, KafkaRefusedError, and TopicError for a topic that cannot be made or a broker too old.
    """
    specs = tuple(specs)
    await _check_broker(settings)
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    try:
        await admin.start()
        replicas = settings.replication_factor or min(_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        configured = {spec.name: _configuration(settings, spec, replicas) for spec in specs}
        wanted = [
            NewTopic(spec.name, 1 if spec.single else partitions, replicas, topic_configs=configured[spec.name])
            for spec in specs
        ]
        answer = await admin.create_topics(wanted)
        created, existing = _sort_out(answer.topic_errors)
        await find_topics(settings, created)
        differing = await _differences(admin, [it for it in wanted if it.name in existing])
    except KafkaError as error:
        raise translate(error, f"making topics at {settings.servers}") from error
    finally:
        await admin.close()
    return TopicsReport(tuple(created), tuple(existing), tuple(differing))


async def check_topics(settings: KafkaSettings, specs: Iterable[TopicSpec]) -> None:
    """Return when all the topics are there and fit each other.

    Raises TopicError when one is missing, when topics of one reader have different partition counts, or when the broker
    is too old; UnavailableError and KafkaRefusedError as any other question.
    """
    specs = tuple(specs)
    await _check_broker(settings)
    async with connected(settings) as connection:
        counts = await partition_counts(connection, [spec.name for spec in specs])
    problems = []
    if missing := [spec.name for spec in specs if spec.name not in counts]:
        problems.append(f"missing: {', '.join(missing)}. Create them with: headrace init")
    for reader in sorted({spec.reader for spec in specs if spec.reader}):
        together = {spec.name: counts[spec.name] for spec in specs if spec.reader == reader and spec.name in counts}
        if len(set(together.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in together.items())
            problems.append(
                f"the {reader} needs its topics to have equally many partitions, but {said}. Add partitions to the "
                "smaller one (kafka-topics.sh --alter --partitions) while nothing is published"
            )
    if problems:
        raise TopicError(f"Kafka at {settings.servers}: {'; '.join(problems)}")


async def _check_broker(settings: KafkaSettings) -> None:
    async with connected(settings) as connection:
        old = what_is_too_old(connection._versions)
    if old:
        raise TopicError(
            f"Kafka at {settings.servers} is too old: it does not speak {', '.join(old)}. Use Kafka 2.3 or newer; "
            "we test with 4.3"
        )


def _configuration(settings: KafkaSettings, spec: TopicSpec, replicas: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(spec.retention_days * _DAY_MS),
        "max.message.bytes": str(settings.max_request_bytes),
        "min.insync.replicas": "2" if replicas >= _REPLICAS else "1",
    }


def _sort_out(answers: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The topics that were made, and those that were there already. Raises TopicError for any that could not be."""
    created, existing = [], []
    for name, code, message in answers:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is TopicAlreadyExistsError:
            existing.append(name)
        else:
            ours = translate(error(message), f"making the topic {name}")
            raise TopicError(str(ours))
    return created, existing


async def _differences(admin: AIOKafkaAdminClient, wanted: Sequence[NewTopic]) -> list[str]:
    """In words, where topics are not as they would have been made."""
    if not wanted:
        return []
    counts = {it["topic"]: len(it["partitions"]) for it in await admin.describe_topics([it.name for it in wanted])}
    resources = [ConfigResource(ConfigResourceType.TOPIC, it.name) for it in wanted]
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources):
        for _, _, _, name, entries in answer.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    differing = []
    for topic in wanted:
        if counts.get(topic.name) != topic.num_partitions:
            differing.append(f"{topic.name}: {counts.get(topic.name)} partitions, not {topic.num_partitions}")
        for key, value in topic.topic_configs.items():
            actual = found.get(topic.name, {}).get(key)
            if actual != value:
                differing.append(f"{topic.name}: {key} is {actual}, not {value}")
    return differing
