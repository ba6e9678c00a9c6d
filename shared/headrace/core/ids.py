"""Derived ids: the same cause always asks for the same work (docs/delivery.md).

Run and node run ids have the shapes of spec 7.1. An id is a BLAKE2b hash in 16 digits of base 62, about 95 bits.
"""

from functools import lru_cache
from hashlib import blake2b
from struct import Struct

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_TEXTS = (_PAIRS * 18)[: 1 << 16]
"""Two digits for each number of 16 bits. That some pairs stand there 18 times and others 17 costs no bit of note."""
_numbers = Struct("<8H").unpack


def derive(*parts: str) -> str:
    """Sixteen base-62 characters derived from the parts; different parts give different ids."""
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return "".join([_TEXTS[number] for number in _numbers(digest)])


def run_id(workflow: str, trigger: str, cause: str) -> str:
    """The run that `cause` (an event id, an idempotency key) starts at a trigger of a workflow."""
    return "wfr_" + derive("run", workflow, trigger, cause)


def node_run_id(run: str, node: str) -> str:
    """The node run of a node in a run. A node runs at most once per run, retries are attempts of the same node run."""
    return "wfnr_" + derive("node", run, node)


def child_run_id(node_run: str, index: int) -> str:
    """The child run that a WORKFLOW or FOR_EACH node run starts for an item."""
    return "wfr_" + derive("child", node_run, str(index))


def gate_id(workflow: str, trigger: str, entity: str) -> str:
    """The gate of an entity at a trigger. `entity` names its blueprint as well."""
    return "wfg_" + derive("gate", workflow, trigger, entity)


@lru_cache(maxsize=1024)
def version_id(workflow: str, version: int) -> str:
    """The `versionIdentifier` of a version of a workflow (spec 1.5)."""
    return "wfv_" + derive("version", workflow, str(version))


def attempt_id(node_run: str, attempt: int) -> str:
    """Names one attempt: of a request, its claim and its result."""
    return f"{node_run}:{attempt}"


def poll_id(node_run: str, attempt: int, poll: int) -> str:
    """Names one poll of an attempt: of a request, its claim and its result."""
    return f"{node_run}:{attempt}:{poll}"


def timer_id(node_run: str, attempt: int, kind: str) -> str:
    """Names a timer of one attempt, so that a timer of an older attempt is recognised as stale."""
    return f"{node_run}:{attempt}:{kind}"


def fraction(*parts: str) -> float:
    """A number in [0, 1) derived from the parts: jitter without randomness."""
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
