"""The three ways of writing branches, made one (spec 0.2, 1.3, 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.core.authoring._document_nodes import ConditionConfig, InputConfig, StatusLabelDocument
from headrace.core.authoring.document import ConnectionDocument
from headrace.core.authoring.findings import Findings, did_you_mean, quoted
from headrace.core.definition import Branch, Condition, Dialect, Edge, Input, Node
from headrace.core.json import JsonObject


@dataclass(frozen=True, slots=True)
class Naming:
    """Dialect S: which connections a CONDITION names, as (pointer, connection, branch); no branch: the default."""

    uses: tuple[tuple[str, str, str | None], ...]


def condition_of(config: ConditionConfig, pointer: str, findings: Findings) -> tuple[Condition, Naming | None]:
    """The condition; in dialect S also the names by which it refers to connections."""
    written = [name for name in ("outlets", "options", "conditions") if getattr(config, name) is not None]
    by_name = config.default_connection_identifier is not None
    if len(written) > 1 or (by_name and written and written != ["conditions"]):
        both = [*written, *(["defaultConnectionIdentifier"] if by_name and "conditions" not in written else [])]
        message = "The branches are written in more than one way: " + " and ".join(f'"{name}"' for name in both) + "."
        findings.error(pointer, "mixed-dialects", message, 'Keep one of them; "outlets" is the newest.')
    if config.outlets is not None:
        return Condition(_branches(config, "outlets", pointer), "outlets"), None
    if config.options is not None:
        return Condition(_branches(config, "options", pointer), "options"), None
    if config.conditions is None and not by_name:
        return Condition((), "outlets"), None
    return _named(config, pointer, findings)


def _branches(config: ConditionConfig, name: Dialect, pointer: str) -> tuple[Branch, ...]:
    written = config.outlets if name == "outlets" else config.options
    return tuple(
        Branch(
            identifier=branch.identifier,
            title=branch.title or branch.identifier,
            expression=branch.expression,
            status_label=_label(branch.status_label),
            workflow_status_label=_label(branch.workflow_status_label),
            pointer=f"{pointer}/{name}/{index}",
        )
        for index, branch in enumerate(written or ())
    )


def _named(config: ConditionConfig, pointer: str, findings: Findings) -> tuple[Condition, Naming]:
    """Dialect S. A branch takes the name of its connection; a second branch on the same connection a numbered one."""
    branches: list[Branch] = []
    uses: list[tuple[str, str, str | None]] = []
    taken = {condition.connection_identifier for condition in config.conditions or ()}
    used: set[str] = set()
    for index, condition in enumerate(config.conditions or ()):
        connection = condition.connection_identifier
        identifier, number = connection, 2
        while identifier in used or (identifier != connection and identifier in taken):
            identifier, number = f"{connection}:{number}", number + 1
        used.add(identifier)
        here = f"{pointer}/conditions/{index}"
        branches.append(Branch(identifier, condition.title or connection, condition.expression, pointer=here))
        uses.append((here + "/connectionIdentifier", connection, identifier))
    field = "defaultConnectionIdentifier"
    if config.default_connection_identifier is None:
        message = f'"{field}" is missing: conditions that name connections need a default one.'
        findings.error(f"{pointer}/{field}", "missing-field", message, "Name the connection to take when none matches.")
    else:
        uses.append((f"{pointer}/{field}", config.default_connection_identifier, None))
    return Condition(tuple(branches), "connections"), Naming(tuple(uses))


def input_of(config: InputConfig, raw: JsonObject, pointer: str) -> Input:
    """The human step, with one branch per outlet."""
    branches = tuple(
        Branch(
            identifier=outlet.identifier,
            title=outlet.title or outlet.identifier,
            status_label=_label(outlet.status_label),
            workflow_status_label=_label(outlet.workflow_status_label),
            pointer=f"{pointer}/outlets/{index}",
        )
        for index, outlet in enumerate(config.outlets)
    )
    return Input(branches, raw, config.timeout_seconds, config.timeout_outlet)


def _label(document: StatusLabelDocument | None) -> JsonObject | None:
    return None if document is None else document.model_dump(exclude_none=True)


Connections = Sequence[tuple[str, ConnectionDocument]]
"""Connections with their pointers."""


def edges_of(
    connections: Connections, naming: Mapping[str, Naming], nodes: Mapping[str, Node], findings: Findings
) -> tuple[Edge, ...]:
    """The edges of the graph. A connection that two branches of dialect S name becomes an edge for each."""
    edges: list[Edge] = []
    for pointer, connection in connections:
        source = nodes.get(connection.source_identifier)
        _refuse_mixtures(pointer, connection, source, findings)
        names = naming.get(connection.source_identifier)
        if names is None:
            branch = connection.source_outlet_identifier or connection.source_option_identifier
            edges.append(_edge(pointer, connection, branch, connection.fallback))
            continue
        branches = [branch for _, name, branch in names.uses if name == connection.identifier]
        edges.extend(_edge(pointer, connection, branch, branch is None) for branch in branches)
        if not branches:
            message = (
                f"No condition of {quoted(connection.source_identifier)} names this connection; it is never taken."
            )
            hint = 'Name it in a "connectionIdentifier" or as "defaultConnectionIdentifier", or remove it.'
            findings.warning(pointer, "connection-never-taken", message, hint)
    return tuple(edges)


def _edge(pointer: str, connection: ConnectionDocument, branch: str | None, fallback: bool) -> Edge:
    return Edge(
        source=connection.source_identifier,
        target=connection.target_identifier,
        branch=branch,
        fallback=fallback,
        identifier=connection.identifier,
        description=connection.description,
        pointer=pointer,
    )


def _refuse_mixtures(pointer: str, connection: ConnectionDocument, source: Node | None, findings: Findings) -> None:
    """One node's branches must be written in one dialect, the connections that leave it included."""
    option, outlet = connection.source_option_identifier, connection.source_outlet_identifier
    if option is not None and outlet is not None:
        message = 'The connection has both "sourceOptionIdentifier" and "sourceOutletIdentifier".'
        findings.error(pointer, "mixed-dialects", message, "Keep the one that fits the source node.")
        return
    if source is None or not isinstance(source.config, Condition) or not source.config.branches:
        return
    here = f"{quoted(source.identifier)} writes its branches as"
    match source.config.dialect:
        case "connections" if option is not None or outlet is not None or connection.fallback:
            message = f'{here} "conditions" that name connections; this connection names a branch or is a fallback.'
            hint = 'Give the connection an "identifier" and name that in the condition.'
            findings.error(pointer, "mixed-dialects", message, hint)
        case "options" if outlet is not None:
            message = f'{here} "options"; this connection has "sourceOutletIdentifier".'
            findings.error(pointer, "mixed-dialects", message, 'Write "sourceOptionIdentifier".')
        case "outlets" if option is not None:
            message = f'{here} "outlets"; this connection has "sourceOptionIdentifier".'
            findings.error(pointer, "mixed-dialects", message, 'Write "sourceOutletIdentifier".')
        case _:
            pass


def check_names(connections: Connections, naming: Mapping[str, Naming], lost: set[str], findings: Findings) -> None:
    """Every connection that a condition of dialect S names must exist and leave that node (spec 1.4 rule 6).

    `lost` are the names of connections that could not be read; nothing is said about those.
    """
    sources = {connection.identifier: connection.source_identifier for _, connection in connections}
    for node, names in naming.items():
        own = [name for name, source in sources.items() if name is not None and source == node]
        for pointer, name, _ in names.uses:
            if sources.get(name) == node or name in lost:
                continue
            if name in sources:
                message = f"Connection {quoted(name)} leaves {quoted(sources[name])}, not {quoted(node)}."
            else:
                message = f"There is no connection named {quoted(name)}."
            findings.error(pointer, "unknown-connection", message, did_you_mean(name, own))
