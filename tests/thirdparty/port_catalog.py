"""Port's API, as far as writing entities needs it: access tokens, and upsert with merge."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.thirdparty.base import Received, ThirdParty, answer

CLIENT = ("catalog-client", "catalog-secret-0123456789")


class PortCatalog(ThirdParty):
    """`blueprints` names those that exist; entities lie by (blueprint, identifier). `expires_in`: of new tokens (s)."""

    def __init__(self) -> None:
        super().__init__()
        self.blueprints = {"deployment"}
        self.entities: dict[tuple[str, str], dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.expires_in = 10_800

    def routes(self) -> list[Any]:
        return [
            ("POST", r"/v1/auth/access_token", self.sign_in),
            ("POST", r"/v1/blueprints/([^/]+)/entities", self.write),
        ]

    async def sign_in(self, request: Received) -> web.Response:
        if (request.json.get("clientId"), request.json.get("clientSecret")) != CLIENT:
            return answer({"ok": False, "error": "invalid_credentials", "message": "Invalid credentials"}, 401)
        token = f"token-{len(self.tokens) + 1}-{id(self)}"
        self.tokens.add(token)
        return answer({"ok": True, "accessToken": token, "expiresIn": self.expires_in, "tokenType": "Bearer"})

    async def write(self, request: Received, blueprint: str) -> web.Response:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return answer({"ok": False, "error": "unauthorized", "message": "Token is not valid"}, 401)
        if blueprint not in self.blueprints:
            message = f'Blueprint with identifier "{blueprint}" was not found'
            return answer({"ok": False, "error": "not_found", "message": message}, 404)
        if "bad" in request.json.get("properties", {}):
            return answer({"ok": False, "error": "invalid_request", "message": '"bad" is not a property'}, 422)
        key = (blueprint, request.json["identifier"])
        if key in self.entities and request.query.get("upsert") != "true":
            return answer({"ok": False, "error": "entity_exists", "message": "Entity exists"}, 409)
        known = self.entities.get(key, {"blueprint": blueprint, "properties": {}, "relations": {}})
        merged = {**known, **request.json}
        for part in ("properties", "relations"):
            merged[part] = {**known[part], **request.json.get(part, {})}
        created = key not in self.entities
        self.entities[key] = merged
        return answer({"ok": True, "entity": merged}, 201 if created else 200)
