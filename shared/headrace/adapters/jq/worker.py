"""The program of an evaluator process: reads documents and JQ programs from stdin, writes answers to stdout.

It runs isolated (`python -I -S`), knows no module of ours, and gives up every right before it reads the first request.

A request is a frame: length (4 bytes, big-endian), length of the header, header (JSON), documents. The header names
`mode` ("run" or "check"), `careful`, and `jobs`: length of the document, and its programs. An answer is one line:
`[value]`, `[]` (no output), `{"e": error}`, or `!kind message`. All answers of a request come in one frame; a careful
request gets a frame for each, so that the parent knows which program was at work when this process died.
"""

import importlib.machinery
import importlib.util
import json
import os
import re
import resource
import signal
import struct
import sys
import time
from collections import OrderedDict
from types import ModuleType
from typing import Any

_PROGRAMS = 1000
_COMBINATIONS = 100
_LONGEST_MESSAGE = 500
_CPU_SECONDS = 5
_NO_NEW_PRIVILEGES, _PARENT_DEATH_SIGNAL, _DUMPABLE = 38, 1, 4

# Names that read the environment, files, other
# inputs or the process are shadowed; `import` and `include` are a syntax error inside parentheses.
_PRELUDE = " ".join(
    f"def {name}: {body};"
    for name, body in (
        ("env", "{}"),
        ("halt", 'error("halt is disabled")'),
        ("halt_error", 'error("halt_error is disabled")'),
        ("halt_error($code)", 'error("halt_error is disabled")'),
        ("input", 'error("input is disabled: there is one document")'),
        ("inputs", 'error("inputs is disabled: there is one document")'),
        ("debug", "."),
        ("debug($message)", "."),
        ("stderr", "."),
        ("input_filename", "null"),
        ("input_line_number", "0"),
        ("get_search_list", "[]"),
        ("get_jq_origin", "null"),
        ("get_prog_origin", "null"),
        ("modulemeta", 'error("modulemeta is disabled")'),
    )
)
_LOADING = re.compile(r"\b(?:import|include|module)\b")
_PLACE = re.compile(r"jq: error: (?P<what>.*?) at <top-level>, line (?P<line>\d+), column (?P<column>\d+)", re.DOTALL)


def main() -> None:
    """Gives up rights, reports ready, answers until stdin ends."""
    settings = json.loads(sys.argv[1])
    jq = _load_jq(settings["jq"])
    _give_up_rights(settings["memory_bytes"], settings["parent"])
    evaluator = _Evaluator(jq, settings["output_bytes"])
    _write(b"ready")
    while (request := _read()) is not None:
        evaluator.answer(request)


class _Evaluator:
    """Compiled programs, and how to run them."""

    def __init__(self, jq: Any, output_bytes: int) -> None:
        self._jq = jq
        self._output_bytes = output_bytes
        self._programs: OrderedDict[str, Any] = OrderedDict()
        self._combinations: OrderedDict[tuple[str, ...], Any] = OrderedDict()

    def answer(self, request: bytes) -> None:
        (header_length,) = struct.unpack_from(">I", request)
        header = json.loads(request[4 : 4 + header_length])
        position = 4 + header_length
        lines: list[str] = []
        for length, programs in header["jobs"]:
            _limit_processor(len(programs))
            document = request[position : position + length].decode("utf-8", "replace")
            position += length
            if header["mode"] == "run" and not header["careful"] and len(programs) > 1:
                lines += self._run_together(tuple(programs), document)
                continue
            for program in programs:
                line = self._run(program, document) if header["mode"] == "run" else self._check(program)
                lines.append(line)
                if header["careful"]:
                    _write(line.encode())
        if not header["careful"]:
            _write("\n".join(lines).encode())

    def _check(self, text: str) -> str:
        compiled = self._compile(text)
        return compiled if isinstance(compiled, str) else "[]"

    def _run(self, text: str, document: str) -> str:
        compiled = self._compile(text)
        if isinstance(compiled, str):
            return compiled
        try:
            return self._limit(compiled.input_text(document).first())
        except StopIteration:
            return "!runtime The document is empty."
        except ValueError as error:
            return _refuse("runtime", str(error))
        except MemoryError:
            return "!memory The expression needs too much memory."

    def _run_together(self, programs: tuple[str, ...], document: str) -> list[str]:
        """Many programs in one pass over the document: parsing it costs more than most programs do."""
        compiled = {text: self._compile(text) for text in programs}
        sound = tuple(text for text, program in compiled.items() if not isinstance(program, str))
        results = {text: program for text, program in compiled.items() if isinstance(program, str)}
        try:
            values = self._combine(sound).input_text(document).first() if sound else []
            results.update(zip(sound, map(self._limit, values), strict=True))
        except (ValueError, StopIteration, MemoryError):
            results.update({text: self._run(text, document) for text in sound})
        return [results[text] for text in programs]

    def _combine(self, programs: tuple[str, ...]) -> Any:
        if programs not in self._combinations:
            body = ",\n".join(_guarded(text) for text in programs)
            _keep(self._combinations, programs, self._jq.compile(f"{_PRELUDE} {{}} as $ENV | [{body}]"), _COMBINATIONS)
        self._combinations.move_to_end(programs)
        return self._combinations[programs]

    def _compile(self, text: str) -> Any:
        """The compiled program, or the line that says why there is none."""
        if text not in self._programs:
            _keep(self._programs, text, self._compile_anew(text), _PROGRAMS)
        self._programs.move_to_end(text)
        return self._programs[text]

    def _compile_anew(self, text: str) -> Any:
        try:
            try:
                compiled = self._jq.compile(f"{_PRELUDE} {{}} as $ENV | {_guarded(text)}")
            except ValueError:
                if _LOADING.search(text):  # alone, it might look for files, and tell which ones there are
                    return "!compile The expression does not compile: import, include and module are not available."
                self._jq.compile(text)  # fails again, with the user's lines and columns
                return "!compile The expression must be a filter, not only definitions."
            self._jq.compile(text)  # alone too: nobody gets to close our parentheses
        except (ValueError, UnicodeError) as error:
            return _refuse("compile", _explain(str(error)))
        except MemoryError:
            return "!memory The expression is too large to compile."
        return compiled

    def _limit(self, line: str) -> str:
        if len(line) <= self._output_bytes and len(line.encode()) <= self._output_bytes:
            return line
        return f"!output The result is larger than {self._output_bytes // 1024} KiB."


def _guarded(text: str) -> str:
    return f"(try ([first((\n{text}\n))] | tojson) catch ({{e: .}} | tojson))"


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    cache[key] = value
    if len(cache) > most:
        cache.popitem(last=False)


def _refuse(kind: str, message: str) -> str:
    return f"!{kind} {' '.join(message.split())[:_LONGEST_MESSAGE]}"


def _explain(message: str) -> str:
    """The first error of libjq's report, without its file name, source excerpt and count."""
    match = _PLACE.search(message)
    if match is None:
        return message.removeprefix("jq: error: ").split("\n")[0]
    place = f"column {match['column']}" if match["line"] == "1" else f"line {match['line']}, column {match['column']}"
    return f"{match['what']}, at {place}"


def _load_jq(path: str) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader("jq", path)
    spec = importlib.util.spec_from_file_location("jq", path, loader=loader)
    if spec is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    module.compile(".").input_text("null").first()  # loads what jq loads late, while files may still be opened
    return module


def _give_up_rights(memory_bytes: int, parent: int) -> None:
    _control_process(parent)
    os.rmdir(os.getcwd())  # the empty directory made for this process: now nothing can be found or made in it
    for name, amount in (
        ("RLIMIT_AS", memory_bytes),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 3),
    ):
        _limit_resource(name, amount, amount)


def _control_process(parent: int) -> None:
    if sys.platform != "linux":
        return  # elsewhere the end of stdin ends this process, and a busy one its processor limit
    import ctypes

    control = ctypes.CDLL(None).prctl
    control(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    control(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    control(_DUMPABLE, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _limit_resource(name: str, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(getattr(resource, name), (soft, hard))
    except (AttributeError, ValueError, OSError):
        return  # not every system has every limit; the deadline holds everywhere


def _limit_processor(programs: int) -> None:
    """Ends this process by itself should the parent be too busy, or stopped, to do it."""
    seconds = int(time.process_time()) + _CPU_SECONDS + programs // 10
    _limit_resource("RLIMIT_CPU", seconds, resource.RLIM_INFINITY)


def _read() -> bytes | None:
    head = _read_exactly(4)
    return None if head is None else _read_exactly(struct.unpack(">I", head)[0])


def _read_exactly(length: int) -> bytes | None:
    parts = []
    while length:
        part = os.read(0, min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write(data: bytes) -> None:
    frame = memoryview(struct.pack(">I", len(data)) + data)
    while frame:
        frame = frame[os.write(1, frame) :]


if __name__ == "__main__":
    main()
