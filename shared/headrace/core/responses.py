"""What people answered in an INPUT node, read from its node run: for the core and for those who show it (spec 5.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.core import limits, weight
from headrace.core.json import Json, JsonObject
from headrace.core.run import NodeRun


@dataclass(frozen=True, slots=True)
class Tally:
    """How often the button of an outlet was pressed, and how often it must be."""

    outlet: str
    given: int
    needed: int


def responses_of(node_run: NodeRun) -> list[JsonObject]:
    """The responses so far, in the order in which they came."""
    responses = (node_run.output or {}).get("responses")
    return [it for it in responses if isinstance(it, dict)] if isinstance(responses, list) else []


def has_responded(node_run: NodeRun, person: str) -> bool:
    """Whether this person pressed a button already: each may once."""
    return any(submitter_of(response) == person for response in responses_of(node_run))


def objection(node_run: NodeRun, inputs: JsonObject) -> str | None:
    """Why the run cannot keep these inputs of one more response: every response travels and is stored with those before
    it. None when it can."""
    one = weight.objection(inputs, limits.RESPONSE_BYTES)
    return one or weight.objection([*responses_of(node_run), inputs])


def submitter_of(response: JsonObject) -> Json:
    """Who responded."""
    info = response.get("submitterInfo")
    return info.get("submittedBy") if isinstance(info, dict) else None


def buttons_of(node_run: NodeRun) -> list[str]:
    """The buttons of the form, by identifier."""
    return [str(button.get("identifier")) for button in _listed(form_of(node_run), "buttons")]


def form_of(node_run: NodeRun) -> JsonObject:
    """The form as it was rendered."""
    form = _config(node_run).get("userInputs")
    return form if isinstance(form, dict) else {}


def responders_of(node_run: NodeRun) -> JsonObject:
    """Who may respond, as it was rendered; empty when the author named nobody."""
    responders = _config(node_run).get("responders")
    return {name: named for name, named in responders.items() if named} if isinstance(responders, dict) else {}


def notices_of(node_run: NodeRun) -> list[tuple[int, JsonObject]]:
    """The notifications that go to webhooks, numbered from 1."""
    listed = enumerate(_listed(_config(node_run), "notifications"), 1)
    return [(number, notice) for number, notice in listed if notice.get("target") == "webhook"]


def tally(node_run: NodeRun) -> list[Tally]:
    """How far each outlet is, in the author's order."""
    pressed = [response.get("button") for response in responses_of(node_run)]
    return [
        Tally(str(outlet.get("identifier")), pressed.count(outlet.get("identifier")), _needed(outlet))
        for outlet in _listed(_config(node_run), "outlets")
        if outlet.get("identifier") in buttons_of(node_run)
    ]


def _needed(outlet: JsonObject) -> int:
    needed = outlet.get("numOfResponders")
    return needed if isinstance(needed, int) else 1


def _config(node_run: NodeRun) -> JsonObject:
    return node_run.config if isinstance(node_run.config, dict) else {}


def _listed(owner: JsonObject, name: str) -> Iterator[JsonObject]:
    listed = owner.get(name)
    return (it for it in (listed if isinstance(listed, list) else ()) if isinstance(it, dict))
