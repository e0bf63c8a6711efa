"""A strict stand-in of InfluxDB 2.x's management calls: orgs, buckets, authorizations.

After the OSS v2 API reference: codes, required keys, what is refused. It is no InfluxDB;
what only a server knows (owners, defaults of later versions) is not here.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Self

from cloud_sync.loopback import Answer, LoopbackServer, Request

ORG_ID = "0a1b2c3d4e5f6071"


@dataclass
class ManagementApi:
    """One organisation; `calls` are the changing ones. With `lists_absent` an unknown bucket gives
    an empty list, as later versions do, else 404; with `shows_tokens` false lists leave tokens out."""

    org: str = "linwei"
    operator: str = "operator-token"
    lists_absent: bool = True
    shows_tokens: bool = True
    sees_org: bool = True
    fail_from_school: str = ""
    buckets: dict[str, dict[str, Any]] = field(default_factory=dict)
    authorizations: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = LoopbackServer(self._answer)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    @property
    def url(self) -> str:
        return self._server.url

    def may(self, token: str) -> set[tuple[str, str]]:
        """What a token may do: actions and names of buckets."""
        names = {one["id"]: name for name, one in self.buckets.items()}
        return {
            (allowed["action"], names[allowed["resource"]["id"]])
            for one in self.authorizations.values()
            if one["token"] == token and one["status"] == "active"
            for allowed in one["permissions"]
        }

    async def _answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Token {self.operator}":
            return _error(401, "unauthorized", "unauthorized access")
        if request.method != "GET":
            self.calls.append(f"{request.method} {request.path}")
        body = json.loads(request.body) if request.body else {}
        match request.method, request.path.removeprefix("/api/v2/").split("/"):
            case "GET", ["orgs"]:
                return self._orgs(request.query)
            case "GET", ["buckets"]:
                return self._find_buckets(request.query)
            case "POST", ["buckets"]:
                return self._make_bucket(body)
            case "PATCH", ["buckets", number]:
                return self._change_bucket(number, body)
            case "GET", ["authorizations"]:
                return self._list_authorizations(request.query)
            case "POST", ["authorizations"]:
                return self._authorize(body)
            case "DELETE", ["authorizations", number]:
                gone = self.authorizations.pop(number, None)
                return Answer(204) if gone else _error(404, "not found", "authorization not found")
        return _error(404, "not found", "path not found")

    def _orgs(self, query: Any) -> Answer:
        if query.get("org", self.org) != self.org:
            return _error(404, "not found", f'organization name "{query["org"]}" not found')
        orgs = [{"id": ORG_ID, "name": self.org}] if self.sees_org else []
        return Answer.json(200, {"links": {"self": "/api/v2/orgs"}, "orgs": orgs})

    def _find_buckets(self, query: Any) -> Answer:
        assert query["orgID"] == ORG_ID
        found = [one for name, one in self.buckets.items() if query.get("name", name) == name]
        if not found and not self.lists_absent:
            return _error(404, "not found", f'bucket "{query["name"]}" not found')
        return Answer.json(200, {"links": {"self": "/api/v2/buckets"}, "buckets": found})

    def _make_bucket(self, body: dict[str, Any]) -> Answer:
        unknown = set(body) - {"name", "orgID", "retentionRules", "description", "rp", "schemaType"}
        if unknown or body.get("orgID") != ORG_ID or not body.get("name"):
            return _error(400, "invalid", f"bad bucket: {unknown or body}")
        if body["name"] in self.buckets:
            return _error(422, "conflict", f"bucket with name {body['name']} already exists")
        fault = _retention_fault(body.get("retentionRules"))
        if fault:
            return fault
        number = f"{len(self.buckets) + 1:016x}"
        rules = [{"shardGroupDurationSeconds": 86_400, **one} for one in body["retentionRules"]]
        made = {**body, "id": number, "type": "user", "retentionRules": rules}
        self.buckets[body["name"]] = made
        return Answer.json(201, made)

    def _change_bucket(self, number: str, body: dict[str, Any]) -> Answer:
        (bucket,) = [one for one in self.buckets.values() if one["id"] == number]
        fault = _retention_fault(body.get("retentionRules"))
        if fault:
            return fault
        bucket.update(body)
        return Answer.json(200, bucket)

    def _list_authorizations(self, query: Any) -> Answer:
        assert query["orgID"] == ORG_ID
        shown = [
            one if self.shows_tokens else {key: value for key, value in one.items() if key != "token"}
            for one in self.authorizations.values()
        ]
        return Answer.json(200, {"authorizations": shown})

    def _authorize(self, body: dict[str, Any]) -> Answer:
        if body.get("orgID") != ORG_ID or not body.get("permissions"):
            return _error(400, "invalid", "orgID and permissions are required")
        if self.fail_from_school and body.get("description", "").endswith(self.fail_from_school):
            return _error(500, "internal error", "disk is full")
        known = {one["id"] for one in self.buckets.values()}
        for allowed in body["permissions"]:
            resource = allowed["resource"]
            if allowed["action"] not in ("read", "write") or resource["type"] != "buckets":
                return _error(400, "invalid", f"invalid permission {allowed}")
            if resource.get("orgID") != ORG_ID or resource.get("id") not in known:
                return _error(400, "invalid", f"invalid resource {resource}")
        number = f"{0xA000 + len(self.calls):016x}"
        made = {"status": "active", **body, "id": number, "token": secrets.token_urlsafe(66)}
        self.authorizations[number] = made
        return Answer.json(201, made)


def _retention_fault(rules: Any) -> Answer | None:
    if not isinstance(rules, list) or any(one.get("type") != "expire" for one in rules):
        return _error(400, "invalid", "retentionRules are required, of type expire")
    if any(0 < one["everySeconds"] < 3600 for one in rules):
        return _error(
            422, "unprocessable entity", "expiration seconds must be greater than or equal to one hour"
        )
    return None


def _error(status: int, code: str, message: str) -> Answer:
    return Answer.json(status, {"code": code, "message": message})
