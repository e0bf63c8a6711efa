"""Prepares a district's InfluxDB 2.x: buckets with retention, one write-only token per school.

Through influxdb-client's management calls, imported with the first use. What is there
already stays: running again changes nothing. A school's token is recognised by its
description, since newer servers do not show tokens again.
Source of the calls: the InfluxDB OSS v2 API reference (orgs, buckets, authorizations).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from cloud_sync.answers import explain

T = TypeVar("T")

LEAST_RETENTION = timedelta(hours=1)
"""The shortest retention that the server takes."""
DESCRIPTION = "campus-edge: school "
"""What stands before the school's id in the description of its token."""
_TIMEOUT_MS = 15_000


class DistrictError(Exception):
    """What cannot be done, and what a person can do about it; never holds a token."""


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """A bucket that must be there; `retention` None keeps for ever."""

    name: str
    retention: timedelta | None

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("_"):
            raise ValueError(f"{self.name or 'an empty text'} cannot be a bucket's name")
        if self.retention is not None and self.retention < LEAST_RETENTION:
            raise ValueError(f"bucket {self.name}: the shortest retention is 1h")

    @property
    def seconds(self) -> int:
        """As the server counts it; 0 is for ever."""
        return 0 if self.retention is None else round(self.retention.total_seconds())


@dataclass(frozen=True, slots=True)
class BucketStep:
    """What was done for one bucket; `retention_s` 0 is for ever."""

    bucket: str
    change: Literal["created", "extended", "kept"]
    retention_s: int


@dataclass(frozen=True, slots=True)
class TokenStep:
    """What was done for one school; `token` only when it is new: nobody can ask for it later."""

    school: str
    change: Literal["created", "renewed", "kept"]
    token: str | None


def prepare(
    url: str, org: str, token: str, buckets: Sequence[BucketPlan], schools: Sequence[str], *, renew: bool
) -> Iterator[BucketStep | TokenStep]:
    """Does one step after the other and tells each once it is done.

    `token` must be an operator's or an all-access token of `org`. `renew` replaces the
    schools' tokens. Raises DistrictError at the first step that cannot be done.
    """
    api = _Api(url, org, token)
    try:
        org_id = api.organisation(org)
        ids = []
        for plan in buckets:
            step, bucket_id = api.bucket(org_id, plan)
            ids.append(bucket_id)
            yield step
        known = api.authorizations(org_id)
        for school in schools:
            yield api.school(org_id, school, ids, known, renew=renew)
    finally:
        api.close()


class _Api:
    """The management calls, with what went wrong in words."""

    def __init__(self, url: str, org: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise DistrictError(f"{parts.scheme or 'the url'}: expected http://HOST[:PORT] or https://...")
        if not token or not token.isascii() or not token.isprintable():
            raise DistrictError("the token must be printable ASCII on one line")
        from influxdb_client.client.influxdb_client import InfluxDBClient

        self._where = f"{parts.scheme}://{parts.netloc}"
        self._client: Any = InfluxDBClient(
            url=url.rstrip("/"), token=token, org=org, timeout=_TIMEOUT_MS, verify_ssl=True, retries=False
        )

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def organisation(self, name: str) -> str:
        """The organisation's id."""
        found = self._call(
            f"organisation {name}",
            lambda: self._client.organizations_api().find_organizations(org=name),
            absent=f"there is no organisation {name}: create it first, or mind the spelling",
        )
        ids = [str(one.id) for one in self._listed(found) if one.name == name]
        if not ids:
            raise DistrictError(
                f"the token may not see organisation {name}: use an operator's or an all-access token of it"
            )
        return ids[0]

    def bucket(self, org_id: str, plan: BucketPlan) -> tuple[BucketStep, str]:
        """One bucket as planned; a retention is extended but never shortened."""
        from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
        from influxdb_client.domain.patch_bucket_request import PatchBucketRequest
        from influxdb_client.domain.post_bucket_request import PostBucketRequest
        from influxdb_client.service.buckets_service import BucketsService

        service = _untyped(BucketsService)(self._client.api_client)
        what = f"bucket {plan.name}"
        rules = [_untyped(BucketRetentionRules)(type="expire", every_seconds=plan.seconds)]
        found = self._call(
            what, lambda: service.get_buckets(org_id=org_id, name=plan.name).buckets, absent=None
        )
        same = [one for one in self._listed(found or []) if one.name == plan.name]
        if not same:
            wanted = _untyped(PostBucketRequest)(name=plan.name, org_id=org_id, retention_rules=rules)
            made = self._call(what, lambda: service.post_buckets(post_bucket_request=wanted))
            return BucketStep(plan.name, "created", plan.seconds), str(made.id)
        bucket = same[0]
        held = next((int(rule.every_seconds) for rule in bucket.retention_rules or ()), 0)
        if held == plan.seconds:
            return BucketStep(plan.name, "kept", held), str(bucket.id)
        if held == 0 or 0 < plan.seconds < held:
            raise DistrictError(
                f"{what} keeps {_spoken(held)}; keeping {_spoken(plan.seconds)} would delete data: "
                "name its present retention, or shorten it on the server"
            )
        change = _untyped(PatchBucketRequest)(retention_rules=rules)
        self._call(what, lambda: service.patch_buckets_id(bucket_id=bucket.id, patch_bucket_request=change))
        return BucketStep(plan.name, "extended", plan.seconds), str(bucket.id)

    def authorizations(self, org_id: str) -> Sequence[Any]:
        """All tokens of the organisation."""
        found = self._call(
            "list of tokens", lambda: self._client.authorizations_api().find_authorizations(org_id=org_id)
        )
        return self._listed(found)

    def school(
        self, org_id: str, school: str, buckets: Sequence[str], known: Sequence[Any], *, renew: bool
    ) -> TokenStep:
        """One school's token: may write these buckets and nothing else."""
        what = f"token of school {school}"
        present = [one for one in known if one.description == DESCRIPTION + school]
        if present and not renew:
            _check(school, present[0], buckets)
            return TokenStep(school, "kept", None)
        for old in present:  # first, so that no new token is made and then lost to a failure here
            self._call(what, partial(self._client.authorizations_api().delete_authorization, old.id))
        made = self._call(what, lambda: self._authorize(org_id, school, buckets))
        return TokenStep(school, "renewed" if present else "created", str(made.token))

    def _authorize(self, org_id: str, school: str, buckets: Sequence[str]) -> Any:
        from influxdb_client.domain.authorization import Authorization
        from influxdb_client.domain.permission import Permission
        from influxdb_client.domain.permission_resource import PermissionResource

        resource, permission = _untyped(PermissionResource), _untyped(Permission)
        permissions = [
            permission(action="write", resource=resource(type="buckets", id=one, org_id=org_id))
            for one in buckets
        ]
        wanted = _untyped(Authorization)(org_id=org_id, permissions=permissions)
        wanted.description = DESCRIPTION + school
        return self._client.authorizations_api().create_authorization(authorization=wanted)

    def _listed(self, found: Any) -> Sequence[Any]:
        """A list from an answer; what a proxy answers in the server's place has none."""
        if not isinstance(found, list):
            raise DistrictError(f"{self._where} answers, but not as InfluxDB 2.x does")
        return found

    def _call(self, what: str, work: Callable[[], T], absent: str | None = "") -> T | Any:
        """Runs one call; `absent` is what a 404 in the server's own words means, None when it is no error."""
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return work()
        except ApiException as error:
            if error.status == 404 and absent != "" and _own_words(error.body):
                if absent is None:
                    return None
                raise DistrictError(absent) from error
            raise DistrictError(self._refusal(what, error)) from error
        except HTTPError as error:
            words = str(error).split(": ", 1)[-1]
            raise DistrictError(f"{self._where} cannot be reached: {words[:300]}") from error
        except (AttributeError, TypeError, ValueError) as error:  # the library met no such answer
            raise DistrictError(f"{self._where} answers, but not as InfluxDB 2.x does") from error

    def _refusal(self, what: str, error: Any) -> str:
        said = explain(error.headers or {}, _text(error.body))
        if not error.status:  # the library's wrapping of a TLS failure
            return f"{self._where}: certificate or TLS: {' '.join(str(error.reason).split())[:300]}"
        if error.status == 401 and "is unauthorized" not in said:
            return f"{self._where} does not know this token (401): mind the file, and that it holds it alone"
        if error.status in (401, 403):
            return (
                f"{what}: this token may not do that ({error.status}: {said}): "
                "use an operator's or an all-access token of the organisation"
            )
        if not _own_words(error.body):
            return f"{self._where} answers {error.status}, but not as InfluxDB 2.x does"
        return f"{what}: {error.status}: {said or 'refused'}"


def _check(school: str, present: Any, buckets: Sequence[str]) -> None:
    """That a school's token, made earlier, still fits."""
    held = {(one.action, one.resource.type, one.resource.id) for one in present.permissions or ()}
    if present.status != "active":
        raise DistrictError(
            f"the token of school {school} is inactive: activate it, or make one with --renew"
        )
    if held != {("write", "buckets", one) for one in buckets}:
        raise DistrictError(
            f"the token of school {school} was made for other buckets: make a new one with --renew"
        )


def _own_words(body: object) -> bool:
    """Whether an answer is the server's: JSON with a code."""
    try:
        answer = json.loads(_text(body))
    except ValueError:
        return False
    return isinstance(answer, dict) and "code" in answer


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")


def _spoken(seconds: int) -> str:
    return f"{seconds / 86_400:g} days" if seconds else "for ever"


def _untyped(made: Any) -> Any:
    """A class of the library, which is not annotated."""
    return made
