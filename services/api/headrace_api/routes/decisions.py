"""Why a run took the branches that it took."""

import orjson
from fastapi import APIRouter, Request, Response

from headrace.contracts.explanations import clause_object
from headrace.core import decisions
from headrace.core.decisions import ConditionSeen
from headrace.core.expression import Evaluation
from headrace.core.json import Json, JsonObject
from headrace.core.plan import compile_plan
from headrace_api.access import visible_run
from headrace_api.context import context_of
from headrace_api.operations import operation
from headrace_api.problems import not_found
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/workflows", tags=["runs"])


@router.get("/runs/{run_id}/decisions", **operation("Explain a run", "DecisionsAnswer", errors=("not_found",)))
async def explain_run(request: Request) -> Response:
    """For every condition node that the run came to: its branches, what each expression gave, and the values it saw.

    Conditions that a re-run carried over are explained by the run that it repeats.
    """
    context = context_of(request)
    run = await visible_run(request, request.path_params["run_id"])
    graph = await context.definitions.graph_of(run)
    if graph is None:
        raise not_found(f'version {run.version} of workflow "{run.workflow}"', str(run.version))
    plan = compile_plan(graph, run.version)
    foreign = decisions.foreign_of(plan, run)
    evaluations = [Evaluation(it.programs, orjson.dumps(it.input)) for it in foreign]
    given = await context.ports.evaluator.evaluate(evaluations) if evaluations else []
    answers = {it.node: dict(zip(it.programs, found, strict=True)) for it, found in zip(foreign, given, strict=True)}
    shown: list[Json] = [_shown(it) for it in decisions.explain_conditions(plan, run, answers)]
    return answer({"decisions": shown})


def _shown(it: ConditionSeen) -> JsonObject:
    return {
        "node": it.node,
        "nodeRunIdentifier": it.node_run_id,
        "reason": it.reason,
        "branches": [
            {
                "identifier": branch.identifier, "title": branch.title, "expression": branch.expression,
                "taken": branch.taken, "clause": None if branch.clause is None else clause_object(branch.clause),
            }
            for branch in it.branches
        ],
    }  # fmt: skip
