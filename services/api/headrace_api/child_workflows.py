"""Whether the workflows that a document calls exist: a warning when they do not, since they may come later."""

from collections.abc import Iterator

from headrace.core.definition import CHILD_TYPES
from headrace.core.errors import Problem
from headrace.core.json import Json
from headrace_api.definitions import Definitions


async def missing_children(document: Json, definitions: Definitions) -> tuple[Problem, ...]:
    """A warning for each WORKFLOW or FOR_EACH node whose workflow is not there, itself not counted."""
    own = document.get("identifier") if isinstance(document, dict) else None
    problems = []
    for pointer, name in _called(document):
        if name != own and await definitions.latest(name) is None:
            message = f'There is no workflow "{name}": a node run that comes here fails, unless it is saved before.'
            problems.append(Problem(pointer, "unknown-workflow", message, "Correct the name, or save it.", "warning"))
    return tuple(problems)


def _called(document: Json) -> Iterator[tuple[str, str]]:
    nodes = document.get("nodes") if isinstance(document, dict) else None
    for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
        config = node.get("config") if isinstance(node, dict) else None
        if isinstance(config, dict) and config.get("type") in CHILD_TYPES:
            name = config.get("workflowIdentifier")
            if isinstance(name, str):
                yield f"/nodes/{index}/config/workflowIdentifier", name
