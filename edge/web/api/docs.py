"""The API's own description: OpenAPI, and a page to try it where the build brought Swagger UI."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, JSONResponse

from edge.web.api.context import Here
from edge.web.auth import VIEWER
from edge.web.problems import Problem

router = APIRouter(dependencies=[VIEWER], include_in_schema=False)

SWAGGER = "swagger"
"""The static folder's part that holds swagger-ui-dist."""

# Everything comes from this gateway, by relative addresses; the policy allows no inline script.
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>campus-edge API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../../{SWAGGER}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="../../{SWAGGER}/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  deepLinking: true,
  requestInterceptor: (request) => {
    request.headers["X-Campus-Edge"] = "1";
    return request;
  },
});
"""


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def page(here: Here) -> Response:
    """The page; 404 where Swagger UI was not built in."""
    if here.static is None or not (here.static / SWAGGER / "swagger-ui-bundle.js").is_file():
        raise Problem(404, "not_found", "this build has no API page; read /api/v1/openapi.json")
    return HTMLResponse(_PAGE)


@router.get("/docs/start.js")
async def start() -> Response:
    """The page's only script of ours."""
    return Response(_START, media_type="text/javascript")
