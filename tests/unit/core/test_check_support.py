"""What a version does not do yet is said when a workflow is saved."""

import pytest

from headrace.core.authoring import check
from headrace.core.json import Json, JsonObject


def document(config: JsonObject) -> JsonObject:
    start: Json = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
    trigger = str(config["type"]).endswith("_TRIGGER")
    connections: list[Json] = [] if trigger else [{"sourceIdentifier": "start", "targetIdentifier": "it"}]
    return {"identifier": "w", "nodes": [start, {"identifier": "it", "config": config}], "connections": connections}


def asks(**more: Json) -> JsonObject:
    form: Json = {"properties": {}, "buttons": [{"identifier": "ok"}]}
    return {"type": "INPUT", "userInputs": form, "outlets": [{"identifier": "ok"}], **more}


@pytest.mark.parametrize(
    ("config", "place"),
    [
        (asks(responders={"usersQuery": {"a": 1}}), "/responders/usersQuery"),
        (asks(notifications=[{"target": "email"}]), "/notifications/0/target"),
        (asks(notifications=[{"target": "webhook", "agent": True}]), "/notifications/0/agent"),
        (
            {
                "type": "SELF_SERVE_TRIGGER",
                "userInputs": {"properties": {"token": {"type": "string", "encryption": "aes256-gcm"}}},
            },
            "/userInputs/properties/token/encryption",
        ),
    ],
)
def test_what_this_version_does_not_do_is_a_warning(config: JsonObject, place: str) -> None:
    problems = check.examine(document(config)).problems

    assert [(it.code, it.pointer, it.severity) for it in problems if it.code != "branch-without-connection"] == [
        ("not-yet", "/nodes/1/config" + place, "warning")
    ]
    assert all(problem.hint for problem in problems)


@pytest.mark.parametrize(
    "config",
    [
        {"type": "WEBHOOK", "url": "https://a.example.com"},
        {"type": "KAFKA", "payload": {}},
        {"type": "GITHUB", "org": "acme", "repo": "shop", "workflow": "deploy.yml"},
        {"type": "GITLAB", "groupName": "acme", "projectName": "shop"},
        {"type": "AZURE_DEVOPS", "org": "acme", "webhook": "deploy"},
        {"type": "AZURE_DEVOPS", "org": "acme", "project": "shop", "pipelineId": 7},
        {"type": "EVENT_TRIGGER", "event": {"type": "ENTITY_CREATED", "blueprintIdentifier": "b"}},
        {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {"name": {"type": "string"}}}},
    ],
)
def test_what_it_does_is_not(config: JsonObject) -> None:
    assert check.examine(document(config)).problems == ()
