"""What templates and conditions see (spec 6.1, 6.4)."""

from headrace.core import ids
from headrace.core.json import Json, JsonObject
from headrace.core.plan import Plan
from headrace.core.run import Run
from headrace.core.times import iso


def outputs(plan: Plan, run: Run) -> JsonObject:
    """`.outputs`: what finished nodes left, with `trigger` as an alias of the trigger that fired (spec 2.4).

    In a workflow with a node of that name, the name is that node's, whether it ran or not.
    """
    known: JsonObject = dict(run.outputs)
    if "trigger" not in plan.nodes and run.trigger in known:
        known["trigger"] = known[run.trigger]
    return known


def context(plan: Plan, run: Run) -> JsonObject:
    """The root object of conditions and of templates inside a config, but for `.workflowNodeRun`."""
    return {
        "outputs": outputs(plan, run),
        "workflow": {
            "identifier": plan.workflow,
            "version": plan.version,
            "versionIdentifier": ids.version_id(plan.workflow, plan.version),
            "title": plan.definition.title,
        },
        "workflowRun": {
            "identifier": run.id,
            "createdAt": iso(run.created_at),
            "createdBy": run.created_by,
            "trigger": {"identifier": run.trigger},
        },
    }


def node_context(plan: Plan, run: Run, node_run_id: str, created_at: int) -> JsonObject:
    """The root object for one node run's config and links."""
    root = context(plan, run)
    root["workflowNodeRun"] = {"identifier": node_run_id, "createdAt": iso(created_at)}
    return root


def result_context(plan: Plan, run: Run, node_run_id: str, created_at: int, output: JsonObject) -> JsonObject:
    """The root object of `variables`: the raw output's keys, overlaid by `.result` and the context (spec 6.1)."""
    root: JsonObject = {**output, **node_context(plan, run, node_run_id, created_at)}
    raw: Json = output
    root["result"] = raw
    return root
