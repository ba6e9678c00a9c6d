"""JQ and templates in the running engine: in conditions, configs and variables, native and foreign."""

import asyncio
from typing import Any

import pytest

from tests.e2e.house import House, change, condition, edge, line, node_run, on_change, outputs, webhook
from tests.e2e.receiver import Answer

FOREIGN = "[range(3)] | map(. * 2) == [0, 2, 4]"
"""Outside the total subset: a child process runs it."""


async def test_foreign_programs_run_in_trigger_conditions_configs_conditions_and_variables(house: House) -> None:
    url = house.receiver.url
    house.receiver.on("/a", Answer(data={"list": [3, 1, 2]}))
    body = {"sum": "{{ [range(4)] | add }}", "text": "n={{ reduce range(4) as $i (0; . + $i) }}"}
    first = webhook("a", url, body=body, variables={"most": "{{ .response.data.list | max }}"})
    which = condition("which", no="[range(2)] == []", yes=f"({FOREIGN}) and .outputs.a.most == 3")
    nodes = [on_change(FOREIGN), first, which, webhook("b", url)]
    edges = [edge("changed", "a"), edge("a", "which"), edge("which", "b", "yes")]
    await house.save({"identifier": "foreign", "nodes": nodes, "connections": edges})

    run = await house.only_run(await house.send())

    assert run["result"] == "SUCCESS"
    assert house.receiver.at("/a")[0].json == {"sum": 6, "text": "n=6"}
    assert outputs(run)["a"] == {"most": 3}
    assert len(house.receiver.at("/b")) == 1


T = ".outputs.changed.diff.after.properties"


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        (f"{{{{ {T}.n }}}}", 3),
        (f"  {{{{ {T}.n }}}}  ", 3),
        (f"n={{{{ {T}.n }}}}", "n=3"),
        (f"{{{{ {T}.o }}}}", {"k": 1}),
        (f"o={{{{ {T}.o }}}}", 'o={"k":1}'),
        (f"{{{{ {T}.nope.x }}}}", None),
        (f"x={{{{ {T}.nope.x }}}}", "x=null"),
        (f'{{{{ {T}.s | gsub(" ";"-") }}}}', "a-b"),
        (f"{{{{ {T}.yes }}}}", True),
        (f"{{{{ {T}.list }}}}", [1, "2", None]),
        ({f'{{{{ if {T}.n > 5 then "big" else null end }}}}': 1}, {}),
        ({f"{{{{ {T}.s }}}}": 1}, {"a b": 1}),
        ({"{{ spreadValue() }}": f"{{{{ {T}.o }}}}", "own": 2}, {"k": 1, "own": 2}),
        ([f"{{{{ {T}.n }}}}", {"in": [f"{{{{ {T}.s }}}}"]}], [3, {"in": ["a b"]}]),
        (["{{ empty }}", 1], [None, 1]),
        ({"gone": "{{ empty }}", "kept": 1}, {"kept": 1}),
        ("mixed {{ empty }}.", "mixed ."),
        ("{{ 'single' }}", "single"),
        ("{{ env.HOME }}", None),
        ("{{ $ENV | length }}", 0),
        ("{{ .workflow.identifier }}", "shown"),
        ("no template, { just } text", "no template, { just } text"),
        ({"b": True, "n": 1.5, "z": None}, {"b": True, "n": 1.5, "z": None}),
    ],
)
async def test_a_body_is_rendered_with_the_types_that_the_templates_give(
    house: House, template: Any, rendered: Any
) -> None:
    await house.save(line("shown", on_change(), webhook("call", house.receiver.url, body={"v": template})))

    event = change(n=3, s="a b", o={"k": 1}, yes=True, list=[1, "2", None])
    run = await house.only_run(await house.send(event))

    assert run["result"] == "SUCCESS", node_run(run, "call")["error"]
    assert house.receiver.calls[0].json == {"v": rendered}


async def test_variables_read_the_raw_answer_and_everything_before_and_replace_the_output(house: House) -> None:
    house.receiver.on("/call", Answer(201, {"id": 7}))
    variables = {
        "id": "{{ .response.data.id }}",
        "same": "{{ .result.response.data.id }}",
        "status": "{{ .response.status }}",
        "tier": "{{ .outputs.changed.diff.after.properties.tier }}",
        "run": "{{ .workflowRun.identifier }}",
        "node": "{{ .workflowNodeRun.identifier }}",
    }
    await house.save(line("mapped", on_change(), webhook("call", house.receiver.url, variables=variables)))

    run = await house.only_run(await house.send())

    assert outputs(run)["call"] == {
        "id": 7, "same": 7, "status": 201, "tier": "gold", "run": run["identifier"],
        "node": node_run(run, "call")["identifier"],
    }  # fmt: skip
    assert node_run(run, "call")["output"] == {"response": {"status": 201, "data": {"id": 7}}}


async def test_links_are_rendered_when_the_node_completes_and_broken_ones_are_left_out(house: House) -> None:
    house.receiver.on("/call", Answer(data={"job": 7}))
    links = ["https://ci.example.com/{{ .result.response.data.job }}", "{{ error(1) }}", "{{ 1 }}"]
    await house.save(line("linked", on_change(), webhook("call", house.receiver.url, links=links)))

    run = await house.only_run(await house.send())

    assert node_run(run, "call")["links"] == ["https://ci.example.com/7"]


@pytest.mark.parametrize(
    "expression",
    ["error(1)", ".outputs.changed | tonumber", "[recurse(.)] | map(error)"],
    ids=["native", "kind", "foreign"],
)
async def test_a_condition_that_cannot_be_decided_fails_the_run_and_says_why(house: House, expression: str) -> None:
    await house.save(line("odd", on_change(), condition("which", a=expression)))

    run = await house.only_run(await house.send())

    assert run["result"] == "FAILED"
    assert node_run(run, "which")["error"].startswith("A branch could not be decided.")


NUMBERS: dict[str, Any] = {"digits": "9" * 30, "many": 2**53 - 1}


@pytest.mark.parametrize(
    "template",
    [
        "{{ .outputs.changed.diff.after.properties.digits | tonumber }}",
        "{{ .outputs.changed.diff.after.properties.many * 9e18 }}",
    ],
)
@pytest.mark.parametrize("place", ["body", "variables"])
async def test_a_number_beyond_what_json_libraries_hold_stops_no_other_run(
    house: House, template: str, place: str
) -> None:
    url = house.receiver.url
    greedy = webhook("call", url, **{place: {"n": template}})
    await house.save(line("greedy", on_change('.context.entityIdentifier == "greedy"'), greedy))
    await house.save(line("modest", on_change(), webhook("other", url)))

    await house.send(change("greedy", **NUMBERS))
    run = await house.only_run(await house.send(change("modest")))

    assert run["result"] == "SUCCESS"


async def test_outputs_that_grow_deeper_than_messages_may_be_stop_no_other_run(house: House) -> None:
    url = house.receiver.url
    wrapped: Any = "{{ .outputs }}"
    for _ in range(50):
        wrapped = [wrapped]
    deep = [webhook(f"n{number}", url, variables={"x": wrapped}) for number in range(8)]
    await house.save(line("deep", on_change('.context.entityIdentifier == "deep"'), *deep))
    await house.save(line("modest", on_change(), webhook("other", url)))

    await house.send(change("deep"))
    await house.receiver.called("/n2")
    run = await house.only_run(await house.send(change("modest")))

    assert run["result"] == "SUCCESS"


HOSTILE = ["def f: f; f", "[range(1e9)]", '"a" * 1000000000']
"""One never ends, one takes long, one wants more memory than there is."""


@pytest.mark.parametrize("where", ["trigger", "condition", "config"])
async def test_hostile_programs_in_one_workflow_leave_the_runs_of_others_unharmed(house: House, where: str) -> None:
    url = house.receiver.url
    for number, program in enumerate(HOSTILE):
        nodes = {
            "trigger": lambda text: (on_change(f"({text}) == true"), webhook("never", url)),
            "condition": lambda text: (on_change(), condition("which", a=f"({text}) == true")),
            "config": lambda text: (on_change(), webhook("never", url, body={"x": f"{{{{ {text} }}}}"})),
        }[where](program)
        await house.save(line(f"hostile-{number}", *nodes))
    await house.save(line("good", on_change("[1] | index(1) == 0"), webhook("other", url)))

    events = [await house.send(eventId=f"e-{number}") for number in range(3)]
    explanations = await asyncio.gather(*(house.explained(event) for event in events))

    for explanation in explanations:
        verdicts = {verdict["workflow"]: verdict for verdict in explanation["verdicts"]}
        good = await house.finished(verdicts["good"]["runId"])
        assert good["result"] == "SUCCESS"
        for number in range(len(HOSTILE)):
            hostile = verdicts[f"hostile-{number}"]
            if where == "trigger":
                assert hostile["verdict"] == "error", hostile
            else:
                assert (await house.finished(hostile["runId"]))["result"] == "FAILED"
    assert len(house.receiver.at("/other")) == 3
    assert house.receiver.at("/never") == []
