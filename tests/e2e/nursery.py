"""Makes processes of `headrace dev` quickly: imports everything once, then forks for each life.

Reads command lines as JSON arrays from standard input, one at a time. For each it forks the program, with its standard
output in the file that the first element names, and says its process id; when it has ended, its exit code.
"""

import json
import os
import sys

from headrace_cli import dev_server  # noqa: F401
from headrace_cli.main import main


def serve() -> None:
    for line in sys.stdin:
        file, *arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(out, 1)
            os.dup2(nothing, 0)
            sys.exit(main(arguments))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
