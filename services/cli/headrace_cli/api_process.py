"""`headrace api` in its own process: the API together with the trigger's reasoning, to explain events with."""

import headrace.runtime.lean  # noqa: F401, I001  (the first of all imports)
import sys

from headrace.runtime import service
from headrace_api.service import ApiEnvironment, ApiProcess
from headrace_trigger.explaining import TriggerExplainer
from headrace_trigger.listeners import Listeners


def make(settings: ApiEnvironment) -> ApiProcess:
    """The API, as the command runs it."""
    return ApiProcess(
        settings,
        lambda definitions, evaluator, ledger: TriggerExplainer(Listeners(definitions), evaluator, ledger),
    )


if __name__ == "__main__":
    sys.exit(service.main(ApiEnvironment, make))
