"""Real Kafka and MongoDB on loopback, for tests and benchmarks; Docker is not needed. Never part of the product.

By hand: `make servers` starts both, prints `export KAFKA_BOOTSTRAP_SERVERS=…` and `export MONGODB_URI=…`, and stops
them at Ctrl-C (`ARGS="--data DIR"` keeps the data, `--kafka-only` and `--mongo-only` start one).

In tests, the session's servers, shared by all tests and workers and started when the first one asks (use topic, group
and database names of your own, and do them no harm):

    async def test_a_record_arrives(kafka_bootstrap_servers: str, mongodb_uri: str) -> None: ...

A server of one's own, to kill, freeze and start again on the same data and port:

    async with Kafka(tmp_path / "kafka", group_min_session_timeout_ms=1000) as kafka:   # or `with`, outside a loop
        ... kafka.bootstrap_servers, kafka.pid, kafka.log ...
        kafka.pause(); kafka.resume()              # SIGSTOP, SIGCONT
        kafka.kill()                               # kill -9
        await asyncio.to_thread(kafka.start)       # blocks until it answers: about 2 s, 5 s after a kill

    async with Mongo(tmp_path / "mongo", enableTestCommands=1) as mongo:                # keyword: a server parameter
        ... mongo.uri ...                          # the same verbs; failCommand is allowed with this parameter

Private servers are always processes on this machine; the shared ones are those of `KAFKA_BOOTSTRAP_SERVERS` and
`MONGODB_URI` where these are set, containers where Docker answers and testcontainers is installed, else processes too.
A server ends with the process that started it, even when that is killed. What is fetched is kept in
`$HEADRACE_SERVERS_CACHE`, else in `headrace/servers` of the user's cache directory.
"""

from tools.servers.errors import MissingProgramError, ServerError
from tools.servers.kafka import Kafka
from tools.servers.mongo import Mongo

__all__ = ["Kafka", "MissingProgramError", "Mongo", "ServerError"]
