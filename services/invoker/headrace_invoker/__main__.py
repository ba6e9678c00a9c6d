"""`python -m headrace_invoker`: the invoker as a process of its own."""

import headrace.runtime.lean  # noqa: F401, I001  (the first of all imports)
import sys

from headrace.runtime import service
from headrace_invoker.service import InvokerEnvironment, InvokerProcess

if __name__ == "__main__":
    sys.exit(service.main(InvokerEnvironment, InvokerProcess))
