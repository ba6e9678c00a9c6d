"""KAFKA actions (spec 3.3): one signed message to the topic for consumers outside; the broker's word is the result.

A log cannot be asked what became of a publish: one whose acknowledgement was lost may have been appended. It is made
again where `delivery` allows that, and consumers know a repetition by its `webhook-id`.
"""

from headrace.adapters.http.signature import PORT_SIGNATURE, PORT_TIMESTAMP, sign
from headrace.contracts.action_message import action_message
from headrace.contracts.envelope import dump, trace_headers
from headrace.core.commands import Accepted, Failed, InvokeNode, Outcome, Succeeded
from headrace.core.errors import HeadraceError
from headrace.core.json import Json, JsonObject
from headrace.core.run import LogLine
from headrace.ports.caller import SigningSecrets
from headrace.ports.clock import Clock
from headrace.ports.errors import TooLargeError, UnavailableError
from headrace.ports.log import Log, Message
from headrace_invoker.performance import Performance


class KafkaPerformer:
    """Performs KAFKA attempts. `topic` is the full name; `secrets` sign as they sign webhooks."""

    def __init__(self, log: Log, clock: Clock, topic: str, org_id: str, secrets: SigningSecrets) -> None:
        self._log = log
        self._clock = clock
        self._topic = topic
        self._org_id = org_id
        self._secrets = secrets

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """Publish, and say what the broker said. A doubtful message is published like any other."""
        config = request.config if isinstance(request.config, dict) else {}
        payload = config.get("payload")
        if payload is not None and not isinstance(payload, dict | list):
            return self._failed(Failed("invalid", "The payload is neither an object nor an array: mend its template."))
        message = build_message(
            request, {} if payload is None else payload, self._topic, self._org_id, self._secrets,
            self._clock.now() // 1000,
        )  # fmt: skip
        try:
            await self._log.publish([message])
        except UnavailableError as error:
            return self._failed(_unavailable(request, error))
        except TooLargeError as error:
            return self._failed(Failed("invalid", f"The message is too large for the log: {error}"))
        except HeadraceError as error:
            return self._failed(Failed("refused", f"The log refused the message for {self._topic}: {error}"))
        output: JsonObject = {"topic": self._topic, "key": message.key}
        outcome: Outcome = Succeeded(output) if request.synchronized else Accepted(output)
        return Performance(outcome, (self._line("INFO", f"published to {self._topic}, key {message.key}"),))

    def _failed(self, failed: Failed) -> Performance:
        return Performance(failed, (self._line("WARN", failed.message),))

    def _line(self, level: str, text: str) -> LogLine:
        return LogLine(self._clock.now(), level, text)  # type: ignore[arg-type]


def build_message(
    request: InvokeNode, payload: Json, topic: str, org_id: str, secrets: SigningSecrets, timestamp_seconds: int
) -> Message:
    """The record: signed inside as Port's consumers check it, and over the whole value as receivers of webhooks do."""
    data = action_message(request, payload, org_id)
    inner = sign(request.node_run_id, timestamp_seconds, dump(data), secrets)
    data["headers"] = {str(PORT_SIGNATURE): inner[PORT_SIGNATURE], str(PORT_TIMESTAMP): timestamp_seconds}
    value = dump(data)
    outer = sign(request.node_run_id, timestamp_seconds, value, secrets)
    headers = tuple((name.lower(), text.encode()) for name, text in outer.items() if name.startswith("webhook-"))
    return Message(topic, request.node_run_id, value, (*headers, *trace_headers(request.causation.traceparent)))


def _unavailable(request: InvokeNode, error: UnavailableError) -> Failed:
    if request.delivery == "at_most_once":
        message = f"It is unknown whether the message was appended, and delivery is at most once. {error}"
        return Failed("unknown-outcome", message)
    return Failed("connection", f"The broker did not acknowledge the message: {error}", retryable=True)
