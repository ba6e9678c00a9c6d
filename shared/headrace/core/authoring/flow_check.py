"""Is what conditions and templates read there when they read it? Warnings only, and only where it is certain.

A definition can be right and still be warned about nowhere: what cannot be known before a run is left alone. Programs
outside the total subset are only scanned for the paths that they surely read from their root.
"""

from headrace.core.authoring._flow_branches import Branches
from headrace.core.authoring._flow_graph import flow_of
from headrace.core.authoring._flow_references import References
from headrace.core.authoring._flow_uses import uses
from headrace.core.authoring.findings import Findings
from headrace.core.definition import Definition
from headrace.core.errors import Problem


def check_flow(definition: Definition) -> tuple[Problem, ...]:
    """Every doubt about a definition that has no errors: names, order, missing values, dead branches.

    The definition must have passed `headrace.core.authoring.check`; about a graph with a cycle nothing is said.
    """
    flow = flow_of(definition)
    if flow is None:
        return ()
    findings = Findings()
    references = References(definition, flow, findings)
    branches = Branches(definition, flow, findings)
    for node in definition.nodes.values():
        branches.check(node)
        for use in uses(node):
            references.check(use)
            if findings.full_and_more:
                return findings.result()
    return findings.result()
