"""JSON over the egress module: the only way in which actions speak to third parties."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson

from headrace.core.json import Json
from headrace.ports.caller import Caller, CallRequest
from headrace.ports.clock import Clock
from headrace_invoker.actions.answers import Answer, read_answer

_TIMEOUT_SECONDS = 30.0
_NEXT = re.compile(r'<[^>]*>\s*;[^,]*rel="?next"?')


class Client:
    """Speaks to one third party. Its credentials go to the host of `base_url` and to no other.

    `headers` go with every call; `hint` is told with refusals of the credentials; `call_id` names what it is for.
    """

    def __init__(
        self, caller: Caller, clock: Clock, who: str, base_url: str, headers: Mapping[str, str], hint: str, call_id: str
    ) -> None:
        self._caller = caller
        self._clock = clock
        self._who = who
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._hint = hint
        self._call_id = call_id

    async def get(self, path: str, wanted: frozenset[int] = frozenset()) -> Answer:
        """The answer to a GET. Raises TroubleError unless it is a success or has a wanted status."""
        return await self._call("GET", path, None, {}, wanted)

    async def post(
        self, path: str, body: Json, wanted: frozenset[int] = frozenset(), own_headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a POST of JSON. Raises TroubleError unless it is a success or has a wanted status."""
        return await self._call("POST", path, orjson.dumps(body), own_headers or {}, wanted)

    async def elsewhere(self, url: str, last_bytes: int) -> Answer:
        """The end of a text at another address that the third party gave us; no credentials go there."""
        request = CallRequest(
            "GET", url, {"Range": f"bytes=-{last_bytes}"}, None, self._call_id, _TIMEOUT_SECONDS
        )  # fmt: skip
        return read_answer(self._who, request, await self._caller.call(request), self._clock.now())

    async def _call(
        self, method: str, path: str, body: bytes | None, own_headers: Mapping[str, str], wanted: frozenset[int]
    ) -> Answer:
        request = CallRequest(
            method=method,
            url=self._base_url + path,
            headers={"Content-Type": "application/json", **self._headers} if body is not None else self._headers,
            body=body,
            webhook_id=self._call_id,
            timeout_seconds=_TIMEOUT_SECONDS,
            only_hosts=(urlsplit(self._base_url).hostname or "",),
            own_headers=own_headers,
        )
        outcome = await self._caller.call(request)
        return read_answer(self._who, request, outcome, self._clock.now(), wanted, self._hint)


def has_next_page(headers: Mapping[str, str]) -> bool:
    """Whether there is more after this page: by a `link` header (GitHub) or `x-next-page` (GitLab)."""
    return bool(headers.get("x-next-page", "").strip() or _NEXT.search(headers.get("link", "")))
