"""Swagger UI at the root, from files of our own: nothing is loaded from anywhere else (spec 10, row 18)."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from headrace_api.problems import not_found
from headrace_api.responses import JSON, dump

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parent.parent / "static"
_FILES = {
    "index.html": (STATIC / "index.html", "text/html"),
    "swagger-init.js": (STATIC / "swagger-init.js", "text/javascript"),
    "swagger-ui-bundle.js": (STATIC / "swagger-ui" / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (STATIC / "swagger-ui" / "swagger-ui.css", "text/css"),
    "favicon-32x32.png": (STATIC / "swagger-ui" / "favicon-32x32.png", "image/png"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/", response_model=None)
async def get_swagger_ui() -> Response:
    path, media_type = _FILES["index.html"]
    return FileResponse(path, media_type=media_type, headers={"content-security-policy": _POLICY})


@router.get("/swagger-ui/{name}", response_model=None)
async def get_swagger_ui_file(request: Request) -> Response:
    name: str = request.path_params["name"]
    if name not in _FILES:
        raise not_found("file", name)
    path, media_type = _FILES[name]
    return FileResponse(path, media_type=media_type, headers={"cache-control": "public, max-age=3600"})


@router.get("/openapi.json", response_model=None)
async def get_openapi(request: Request) -> Response:
    return Response(dump(request.app.openapi()), media_type=JSON)
