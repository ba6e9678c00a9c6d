"""What `headrace init` does: topics and indexes, made where they are missing and compared where they are not."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from headrace.adapters.kafka.connection import wait_for_broker
from headrace.adapters.kafka.errors import KafkaRefusedError
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import TopicsReport, check_topics, create_topics, topic_specs
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.errors import MongoRefusedError
from headrace.adapters.mongo.indexes import INDEXES, create_indexes, missing_indexes
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import INSTALLATION_NAME, TopicNames
from headrace.core.errors import HeadraceError
from headrace.ports.errors import UnavailableError
from headrace.runtime.logs import configure_logs
from headrace.runtime.settings import Count, LogLevel, Settings, load
from headrace_cli.errors import CommandError, ConflictError, ExitCode, NotAllowedError, UnreachableError, UsageError
from headrace_cli.session import Session


class InitEnvironment(Settings):
    """What `headrace init` reads from its environment (docs/configuration.md)."""

    kafka: KafkaSettings
    mongodb: MongoSettings
    topic_prefix: str = "headrace."
    partitions: Count = 12
    installation_topics: tuple[Annotated[str, Field(pattern=INSTALLATION_NAME)], ...] = ()
    log_level: LogLevel = "WARNING"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was done and found."""

    topics: TopicsReport
    indexes_made: tuple[str, ...]
    indexes_there: int


def settings(partitions: int | None) -> InitEnvironment:
    """The settings of the option, over those of the environment. Raises UsageError."""
    try:
        return load(InitEnvironment, {"partitions": partitions})
    except HeadraceError as error:
        raise UsageError(str(error), "docs/configuration.md lists the settings.") from None


async def prepare(session: Session, chosen: InitEnvironment, wait_seconds: float) -> ExitCode:
    """Do it and print it. Raises CommandError."""
    configure_logs(chosen.log_level, human=sys.stderr.isatty())
    try:
        database = MongoDatabase(chosen.mongodb)
        try:
            async with asyncio.timeout(wait_seconds):
                await wait_for_broker(chosen.kafka)
                await database.connect()
            prepared = await _prepare(chosen, database)
        finally:
            await database.close()
    except TimeoutError:
        message = f"Kafka or MongoDB did not answer within {wait_seconds:g} s; the lines above say which, and why."
        raise UnreachableError(message, "Start it, or wait longer with --wait.") from None
    except UnavailableError as error:
        raise UnreachableError(str(error), "Run `headrace init` again; what is done stays done.") from None
    except (KafkaRefusedError, MongoRefusedError) as error:
        raise NotAllowedError(str(error)) from None
    except HeadraceError as error:
        raise CommandError(str(error)) from None
    _print(session, chosen, prepared)
    if prepared.topics.differing:
        raise ConflictError(
            "Some topics exist and are not as they should be:\n"
            + "\n".join(f"  {it}" for it in prepared.topics.differing),
            "Change them with Kafka's own tools (kafka-configs.sh, kafka-topics.sh --alter) or, when the difference is "
            "wanted, say so: --partitions, HEADRACE_KAFKA__MAX_REQUEST_BYTES. docs/production.md has the table.",
        )
    return ExitCode.OK


async def _prepare(chosen: InitEnvironment, database: MongoDatabase) -> Prepared:
    specs = topic_specs(TopicNames(chosen.topic_prefix), chosen.installation_topics)
    topics = await create_topics(chosen.kafka, specs, chosen.partitions)
    missing = await missing_indexes(database)
    await create_indexes(database)
    if not topics.differing:
        await check_topics(chosen.kafka, specs)
    made = tuple(f"{index.collection}.{index.name}" for index in missing)
    return Prepared(topics, made, len(INDEXES) - len(made))


def _print(session: Session, chosen: InitEnvironment, prepared: Prepared) -> None:
    topics = prepared.topics
    if session.json:
        session.print_json(
            {
                "topics": {"created": topics.created, "existing": topics.existing, "differing": topics.differing},
                "indexes": {"created": prepared.indexes_made, "existing": prepared.indexes_there},
            }
        )
        return
    session.out.print(f"Kafka {chosen.kafka.servers}: {_count(len(topics.created), len(topics.existing), 'topic')}")
    for name in topics.created:
        session.out.print(f"  ✓ {name}", soft_wrap=True)
    name = chosen.mongodb.database
    session.out.print(
        f"MongoDB, database {name}: {_count(len(prepared.indexes_made), prepared.indexes_there, 'index')}"
    )
    for index in prepared.indexes_made:
        session.out.print(f"  ✓ {index}", soft_wrap=True)


def _count(made: int, there: int, noun: str) -> str:
    plural = {"topic": "topics", "index": "indexes"}[noun]
    return f"{made} {noun if made == 1 else plural} made, {there} there already"
