"""A workflow version compiled for deciding: edges by number, templates and programs parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from headrace.core import expression, template
from headrace.core.definition import CHILD_TYPES, Action, Branch, Condition, Definition, Edge, Input, Node
from headrace.core.expression import Program
from headrace.core.json import Json
from headrace.core.template import Template

DEFAULT_CONCURRENCY = 10
"""Child runs of a FOR_EACH node that are at work at once, unless its author says otherwise."""


@dataclass(frozen=True, slots=True)
class PlanBranch:
    """A branch with the edges that leave through it. `program` is None on INPUT outlets."""

    identifier: str
    title: str
    program: Program | None
    label: Program | None
    run_label: Program | None
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Calls:
    """What a WORKFLOW or FOR_EACH node starts. `items` is None for a WORKFLOW: one child run, for no item.

    `trigger` is empty when the author named none. `stops`: after the first failure no more child runs are started.
    """

    workflow: str
    trigger: str
    inputs: Template
    items: Template | None
    concurrency: int
    stops: bool


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node with its edges. `fallback` are the edges taken when no branch matches."""

    node: Node
    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]
    fallback: tuple[int, ...]
    branches: tuple[PlanBranch, ...] = ()
    config: Template | None = None
    variables: Template | None = None
    links: tuple[Template, ...] = ()
    calls: Calls | None = None

    @property
    def type(self) -> str:
        return self.node.config.type


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a workflow, ready to decide on. Edges are known by their index in `edges`."""

    workflow: str
    version: int
    definition: Definition
    nodes: Mapping[str, PlanNode]
    edges: tuple[Edge, ...]


def compile_plan(definition: Definition, version: int) -> Plan:
    """The plan of a definition that passed `check`. Raises TemplateSyntaxError for templates that `check` refuses."""
    edges = definition.edges
    nodes = {identifier: _compile_node(node, edges) for identifier, node in definition.nodes.items()}
    return Plan(
        workflow=definition.identifier,
        version=version,
        definition=definition,
        nodes=nodes,
        edges=edges,
    )


def _compile_node(node: Node, edges: tuple[Edge, ...]) -> PlanNode:
    outgoing = tuple(index for index, edge in enumerate(edges) if edge.source == node.identifier)
    config = node.config
    branches = config.branches if isinstance(config, Condition | Input) else ()
    return PlanNode(
        node=node,
        incoming=tuple(index for index, edge in enumerate(edges) if edge.target == node.identifier),
        outgoing=outgoing,
        fallback=tuple(index for index in outgoing if edges[index].fallback),
        branches=tuple(_compile_branch(branch, outgoing, edges) for branch in branches),
        config=template.compile_template(_config(config)) if isinstance(config, Action | Input) else None,
        variables=template.compile_template(cast(Json, dict(node.variables))) if node.variables else None,
        links=tuple(template.compile_template(link) for link in node.links),
        calls=_compile_calls(config) if isinstance(config, Action) and config.type in CHILD_TYPES else None,
    )


def _config(config: Action | Input) -> Json:
    """What is rendered when the node starts; what child runs are given is rendered for each of them."""
    if config.type in CHILD_TYPES:
        return {name: value for name, value in config.config.items() if name not in ("items", "inputs")}
    return config.config


def _compile_calls(action: Action) -> Calls:
    config: Any = action.config
    return Calls(
        workflow=config["workflowIdentifier"],
        trigger=config.get("nodeIdentifier") or "",
        inputs=template.compile_template(config.get("inputs") or {}),
        items=template.compile_template(config["items"]) if action.type == "FOR_EACH" else None,
        concurrency=config.get("concurrency") or DEFAULT_CONCURRENCY,
        stops=config.get("onItemFailure", "stop") == "stop",
    )


def _compile_branch(branch: Branch, outgoing: tuple[int, ...], edges: tuple[Edge, ...]) -> PlanBranch:
    return PlanBranch(
        identifier=branch.identifier,
        title=branch.title,
        program=expression.parse(branch.expression) if branch.expression else None,
        label=_compile_label(branch.status_label),
        run_label=_compile_label(branch.workflow_status_label),
        edges=tuple(index for index in outgoing if edges[index].branch == branch.identifier),
    )


def _compile_label(label: Mapping[str, Json] | None) -> Program | None:
    text = label.get("text") if label else None
    return expression.parse(text) if isinstance(text, str) and text.strip() else None
