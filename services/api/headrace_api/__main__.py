"""`python -m headrace_api`: the API as a process of its own."""

import headrace.runtime.lean  # noqa: F401, I001  (the first of all imports)
import sys

from headrace.runtime import service
from headrace_api.service import ApiEnvironment, ApiProcess

if __name__ == "__main__":
    sys.exit(service.main(ApiEnvironment, ApiProcess))
