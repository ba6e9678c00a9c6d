"""From a workflow document, in any of the three dialects, to the one internal graph (spec 0.2, 1, 4).

`parse` reads; `headrace.core.authoring.check` judges the graph. Both report every problem at once.
"""

from dataclasses import dataclass

from headrace.core import limits
from headrace.core.authoring._branches import Naming, check_names, condition_of, edges_of, input_of
from headrace.core.authoring._document_children import DelayConfig, WorkflowConfig
from headrace.core.authoring._document_nodes import ActionConfig, ConditionConfig, InputConfig
from headrace.core.authoring._document_reading import read
from headrace.core.authoring._node_configs import action_of, child_action_of, delay_of, placeholder_of, trigger_of
from headrace.core.authoring.document import ConnectionDocument, NodeDocument, WorkflowHead
from headrace.core.authoring.findings import Findings, kind, quoted
from headrace.core.definition import Definition, Node, NodeConfig
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a document holds.

    `definition` is None when there are errors. `draft` is then what could be read all the same, with the nodes named
    in `unreadable` only standing in for themselves, so that checks of the graph can go on.
    """

    definition: Definition | None
    problems: tuple[Problem, ...]
    draft: Definition | None = None
    unreadable: frozenset[str] = frozenset()


def parse(document: Json) -> Parsed:
    """The graph of `document`, and every problem of its form at once. Never raises, whatever JSON value it is."""
    findings = Findings()
    if not isinstance(document, dict):
        findings.error("", "wrong-type", f"A workflow must be an object; this is {kind(document)}.")
        return Parsed(None, findings.result())
    draft, unreadable = _Reading(document, findings).draft()
    problems = findings.result()
    broken = any(problem.severity == "error" for problem in problems)
    return Parsed(None if broken else draft, problems, draft, unreadable)


class _Reading:
    """The reading of one document: the pieces one after the other, so that a bad one does not hide the others."""

    def __init__(self, document: JsonObject, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self._nodes: dict[str, Node] = {}
        self._naming: dict[str, Naming] = {}
        self._unreadable: set[str] = set()
        self._connections: list[tuple[str, ConnectionDocument]] = []
        self._connection_names: dict[str, str] = {}
        self._lost_connections: set[str] = set()

    def draft(self) -> tuple[Definition, frozenset[str]]:
        head_fields = {name: value for name, value in self._document.items() if name not in ("nodes", "connections")}
        head, _ = read(WorkflowHead, head_fields, "", self._findings)
        for index, raw in enumerate(self._list("nodes", required=True)):
            self._read_node(raw, f"/nodes/{index}")
        for index, raw in enumerate(self._list("connections", required=False)):
            self._read_connection(raw, f"/connections/{index}")
        edges = edges_of(self._connections, self._naming, self._nodes, self._findings)
        check_names(self._connections, self._naming, self._lost_connections, self._findings)
        if head is None:
            return Definition("", self._nodes, edges), frozenset(self._unreadable)
        definition = Definition(
            identifier=head.identifier,
            nodes=self._nodes,
            edges=edges,
            title=head.title,
            icon=head.icon,
            description=head.description,
            category=head.category,
            allow_anyone_to_view_runs=head.allow_anyone_to_view_runs,
        )
        return definition, frozenset(self._unreadable)

    def _list(self, name: str, *, required: bool) -> list[Json]:
        value = self._document.get(name)
        if isinstance(value, list):
            if name == "nodes" and len(value) > limits.NODES:
                message = f"A workflow may have {limits.NODES} nodes; this one has {len(value)}."
                self._findings.error("/nodes", "too-many-nodes", message, "Split it into several workflows.")
            return value
        if value is not None:
            self._findings.error(f"/{name}", "wrong-type", f'"{name}" must be a list; it is {kind(value)}.')
        elif required:
            self._findings.error(f"/{name}", "missing-field", f'"{name}" is missing.', "Add it; it is required here.")
        return []

    def _read_node(self, raw: Json, pointer: str) -> None:
        if not isinstance(raw, dict):
            self._findings.error(pointer, "wrong-type", f"A node must be an object; it is {kind(raw)}.")
            return
        document, known = read(NodeDocument, raw, pointer, self._findings)
        name = known.get("identifier")
        if not isinstance(name, str) or not name:
            return
        if name in self._nodes:
            message = f"Two nodes are named {quoted(name)}; the first is {self._nodes[name].pointer}."
            self._findings.error(pointer + "/identifier", "duplicate-node", message, "Give each node its own name.")
        elif document is None:
            self._unreadable.add(name)
            self._nodes[name] = Node(name, placeholder_of(known.get("config")), pointer=pointer)
        else:
            self._nodes[name] = self._node(document, known["config"], pointer)

    def _node(self, document: NodeDocument, raw_config: Json, pointer: str) -> Node:
        assert isinstance(raw_config, dict)
        return Node(
            identifier=document.identifier,
            config=self._config(document, raw_config, pointer + "/config"),
            title=document.title,
            icon=document.icon,
            description=document.description,
            variables=document.variables,
            links=tuple(document.links),
            verbose=document.verbose,
            pointer=pointer,
        )

    def _config(self, document: NodeDocument, raw: JsonObject, pointer: str) -> NodeConfig:
        match document.config:
            case ConditionConfig() as config:
                condition, naming = condition_of(config, pointer, self._findings)
                if naming is not None:
                    self._naming[document.identifier] = naming
                return condition
            case InputConfig() as config:
                return input_of(config, raw, pointer)
            case ActionConfig() as config:
                return action_of(config, raw)
            case WorkflowConfig() as config:
                return child_action_of(config, raw)
            case DelayConfig() as config:
                return delay_of(config, raw)
            case config:
                return trigger_of(config, raw, pointer, self._findings)

    def _read_connection(self, raw: Json, pointer: str) -> None:
        if not isinstance(raw, dict):
            self._findings.error(pointer, "wrong-type", f"A connection must be an object; it is {kind(raw)}.")
            return
        document, known = read(ConnectionDocument, raw, pointer, self._findings)
        name = known.get("identifier")
        if document is None:
            self._lost_connections.update([name] if isinstance(name, str) else [])
            return
        if isinstance(name, str):
            first = self._connection_names.setdefault(name, pointer)
            if first != pointer:
                message = f"Two connections are named {quoted(name)}; the first is {first}."
                hint = "Give each connection its own name."
                self._findings.error(pointer + "/identifier", "duplicate-connection", message, hint)
                return
        self._connections.append((pointer, document))
