"""`python -m headrace_trigger`: the trigger as a process of its own."""

import headrace.runtime.lean  # noqa: F401, I001  (the first of all imports)
import sys

from headrace.runtime import service
from headrace_trigger.service import TriggerEnvironment, TriggerProcess

if __name__ == "__main__":
    sys.exit(service.main(TriggerEnvironment, TriggerProcess))
