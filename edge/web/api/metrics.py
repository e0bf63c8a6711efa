"""GET /metrics: the gateway itself, for Prometheus; needs a token, or asked on this machine none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastapi import APIRouter, Response

from edge.web.api.context import Here
from edge.web.auth import VIEWER_OR_LOCAL
from edge.web.services.metrics import Metric

router = APIRouter(tags=["gateway"], dependencies=[VIEWER_OR_LOCAL])

FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=Response)
async def metrics(here: Here) -> Response:
    """Prometheus text exposition, format 0.0.4."""
    own = (
        Metric("campus_web_streams", "Clients of the event stream.", "gauge", (({}, here.hub.clients),)),
        Metric(
            "campus_web_stream_dropped_total",
            "Events that clients were too slow for.",
            "counter",
            (({}, here.hub.dropped),),
        ),
    )
    text = "".join(line for metric in (*here.services.metrics(), *own) for line in _lines(metric))
    return Response(text, media_type=FORMAT)


def _lines(metric: Metric) -> Iterator[str]:
    words = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {metric.name} {words}\n# TYPE {metric.name} {metric.type}\n"
    for labels, value in metric.samples:
        yield f"{metric.name}{_labels(labels)} {value}\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
