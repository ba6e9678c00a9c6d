"""docs/configuration.md lists what the services read from their environment: names, defaults, and who reads them."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headrace.runtime.settings import PREFIX, Settings
from headrace_api.service import ApiEnvironment
from headrace_cli.preparing import InitEnvironment
from headrace_invoker.service import InvokerEnvironment
from headrace_orchestrator.service import OrchestratorEnvironment
from headrace_trigger.service import TriggerEnvironment
from tools import sources

MODELS: dict[str, type[Settings]] = {
    "api": ApiEnvironment,
    "init": InitEnvironment,
    "invoker": InvokerEnvironment,
    "orchestrator": OrchestratorEnvironment,
    "trigger": TriggerEnvironment,
}


def rows() -> dict[str, tuple[str, str]]:
    """Default and readers of each variable in the page's table, without backquotes."""
    page = (sources.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| variable of a service .*\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, flags=re.MULTILINE)
    cells = [[cell.strip().replace("`", "") for cell in line[1:-1].split("|")] for line in table.splitlines()]
    return {name: (default, readers) for name, default, readers, _ in cells}


def is_nested(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def in_words(names: set[str]) -> str:
    missing = set(MODELS) - names
    return "all" if not missing else "all but init" if missing == {"init"} else ", ".join(sorted(names))


def shown(default: Any) -> str:
    return "none" if default == () else str(default)


def test_every_variable_is_listed_with_those_who_read_it() -> None:
    readers: dict[str, set[str]] = {}
    for name, model in MODELS.items():
        for field_name, field in model.model_fields.items():
            variable = PREFIX + field_name.upper() + ("__…" if is_nested(field) else "")
            readers.setdefault(variable, set()).add(name)

    assert {variable: who for variable, (_, who) in rows().items()} == {
        variable: in_words(names) for variable, names in readers.items()
    }


def test_every_default_is_the_one_in_the_code() -> None:
    for variable, (told, _) in rows().items():
        name = variable.removeprefix(PREFIX).removesuffix("__…").lower()
        fields = {service: model.model_fields[name] for service, model in MODELS.items() if name in model.model_fields}
        if variable.endswith("__…"):
            assert (told == "required") == all(field.is_required() and name == "admin" for field in fields.values())
            continue
        if any(field.is_required() for field in fields.values()):
            assert told == "required", variable
            continue
        defaults = {service: shown(field.default) for service, field in fields.items()}
        usual = max(defaults.values(), key=list(defaults.values()).count)
        if list(defaults.values()).count(usual) > 1 or len(defaults) == 1:
            others = "".join(f", {service} {value}" for service, value in defaults.items() if value != usual)
            assert told == usual + others, variable
        else:
            pairs = sorted(((value, service) for service, value in defaults.items()))
            assert told == ", ".join(f"{service} {value}" for value, service in pairs), variable
