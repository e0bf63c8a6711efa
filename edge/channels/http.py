"""One POST to a push service, with every way it can fail told apart."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from edge.channels.channel import Undelivered

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
ANSWER_LIMIT = 65_536


def client() -> httpx.AsyncClient:
    """A client that follows no redirect and takes no proxy from the environment."""
    return httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


async def post(http: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body of a 2xx answer. Raises Undelivered: final for 4xx but 408, 425 and 429."""
    try:
        async with http.stream("POST", url, content=body, headers=dict(headers)) as answer:
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_LIMIT:
                    raise Undelivered("the answer is longer than 64 kB")
    except httpx.HTTPError as error:
        # The URL may carry a key: only the kind of failure is told.
        raise Undelivered(f"{type(error).__name__}: {str(error)[:200] or 'no answer'}") from error
    status = answer.status_code
    if 200 <= status < 300:
        if "text/html" in answer.headers.get("content-type", ""):
            raise Undelivered(f"HTTP {status} with a web page: the connection is intercepted")
        return content
    retryable = status in (408, 425, 429) or status >= 500 or status < 400
    raise Undelivered(f"HTTP {status}", final=not retryable, retry_after_s=_retry_after(answer))


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isdigit() else None
