"""Explains to people why triggers did or did not fire: the ledger says what happened, the core says why."""

import orjson

from headrace.contracts.entity_change import BadEventError, EntityChange, read_entity_change
from headrace.contracts.explanations import clause_object
from headrace.core.explanation import explain
from headrace.core.expression import Evaluation
from headrace.core.json import Json, JsonObject
from headrace.core.matching import Listener
from headrace.core.times import iso
from headrace.ports.evaluator import Evaluator
from headrace.ports.stores import LedgerEntry, LedgerStore, TriggerVerdict
from headrace_trigger.listeners import Listeners


class TriggerExplainer:
    """Answers for past events from the ledger, and for events that were never sent."""

    def __init__(self, listeners: Listeners, evaluator: Evaluator, ledger: LedgerStore) -> None:
        self._listeners = listeners
        self._evaluator = evaluator
        self._ledger = ledger

    async def explain(self, event_id: str) -> JsonObject | None:
        """Every trigger and why it did or did not fire for a past event; None if the ledger does not know it.

        What the ledger recorded comes first and is marked `recorded`; triggers that the index ruled out at the time are
        judged again now, with the versions of now, and marked `now`.
        """
        entry = await self._ledger.find(event_id)
        if entry is None:
            return None
        try:
            change = read_entity_change(orjson.loads(entry.event), entry.event_id, entry.source, entry.at)
        except BadEventError:
            return {**_head(entry), "verdicts": [_recorded(verdict) for verdict in entry.verdicts]}
        recorded = {(verdict.workflow, verdict.trigger): verdict for verdict in entry.verdicts}
        verdicts: list[Json] = []
        for shown in await self._judge_all(change):
            past = recorded.pop((str(shown["workflow"]), str(shown["trigger"])), None)
            if past is not None:
                shown.update(
                    verdict=past.verdict, reason=past.reason, runId=past.run_id, version=past.version, asOf="recorded"
                )
            verdicts.append(shown)
        verdicts.extend(_recorded(past) for past in recorded.values())
        return {**_head(entry), "event": change.event, "verdicts": verdicts}

    async def would_match(self, event: JsonObject) -> list[JsonObject]:
        """What every trigger would say to an event (spec 11.1). Raises BadEventError."""
        return await self._judge_all(read_entity_change(event, "evt_unsent", "unsent", 0))

    async def _judge_all(self, change: EntityChange) -> list[JsonObject]:
        await self._listeners.index()
        return [await self._judge(listener, change) for listener in self._listeners.all()]

    async def _judge(self, listener: Listener, change: EntityChange) -> JsonObject:
        answers = {}
        if listener.foreign and listener.config.blueprint == change.blueprint:
            evaluation = Evaluation(listener.foreign, orjson.dumps(change.event))
            answers = dict(zip(listener.foreign, (await self._evaluator.evaluate([evaluation]))[0], strict=True))
        found = explain(listener, change.action, change.blueprint, change.property, change.event, answers)
        return {
            "workflow": listener.workflow, "version": listener.version, "trigger": listener.trigger,
            "verdict": found.verdict, "reason": found.reason, "runId": None, "asOf": "now",
            "clauses": [clause_object(clause) for clause in found.clauses],
        }  # fmt: skip


def _head(entry: LedgerEntry) -> JsonObject:
    return {
        "eventId": entry.event_id, "at": iso(entry.at), "action": entry.action, "blueprint": entry.blueprint,
        "entity": entry.entity, "source": entry.source, "considered": entry.considered,
    }  # fmt: skip


def _recorded(past: TriggerVerdict) -> JsonObject:
    return {
        "workflow": past.workflow, "version": past.version, "trigger": past.trigger, "verdict": past.verdict,
        "reason": past.reason, "runId": past.run_id, "asOf": "recorded", "clauses": [],
    }  # fmt: skip
