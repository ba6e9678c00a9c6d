"""What an entity event costs that wakes nobody, on Kafka and MongoDB: the trigger service alone in this process.

The window is that of bench._unmatched; the CPU time of broker and database is not in the figure.
"""

import argparse

from bench import _unmatched, _workload
from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import create_topics, topic_specs
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.indexes import create_indexes
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames

_SAVED_AT_ONCE = 64
_PARTITIONS = 12


async def on_servers(chosen: argparse.Namespace) -> float:
    """The figure in topics and a database of their own."""
    clock, name = SystemClock(), f"unmatched{chosen.triggers}"
    topics = TopicNames(f"{name}.")
    settings = KafkaSettings(bootstrap_servers=(chosen.servers,))
    await create_topics(settings, topic_specs(topics), _PARTITIONS)
    database = MongoDatabase(MongoSettings.model_validate({"uri": chosen.mongodb, "database": name}))
    await database.connect()
    await create_indexes(database)
    log = KafkaLog(settings, clock)
    await log.start()
    definitions = MongoDefinitionStore(database)
    await _workload.save_other_tiers(definitions, chosen.triggers, _SAVED_AT_ONCE)
    ledger = MongoLedger(database, clock)
    figure = await _unmatched.measure(log, definitions, ledger, topics, chosen.events, chosen.warm_up)
    await log.close()
    await database.client.drop_database(name)
    await database.close()
    return figure


if __name__ == "__main__":
    its = argparse.ArgumentParser(
        prog="python -m bench._unmatched_servers", description=(__doc__ or "").splitlines()[0]
    )
    its.add_argument("--servers", required=True)
    its.add_argument("--mongodb", required=True)
    _unmatched.main(its, on_servers)
