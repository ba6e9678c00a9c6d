"""To be imported before anything else in a process that serves: what is never used there is not loaded.

structlog loads rich, where that is installed, to be able to print tracebacks with it. Ours are plain (rich would show
local variables, and these may hold secrets), and rich is four megabytes of every process.
"""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # Python's own way to say: not installed
