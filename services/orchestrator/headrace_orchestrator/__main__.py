"""`python -m headrace_orchestrator`: the orchestrator as a process of its own."""

import headrace.runtime.lean  # noqa: F401, I001  (the first of all imports)
import sys

from headrace.runtime import service
from headrace_orchestrator.service import OrchestratorEnvironment, OrchestratorProcess

if __name__ == "__main__":
    sys.exit(service.main(OrchestratorEnvironment, OrchestratorProcess))
