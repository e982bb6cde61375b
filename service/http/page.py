"""Serves the page at `/`: files of this package alone, with a policy that lets a browser load nothing else."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response

from model.manifest import SAMPLE

FOLDER = Path(__file__).resolve().parent.parent / "page"
FILES = {file.name: file for file in FOLDER.iterdir() if file.is_file()}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # asked again every time: a new version of the service is a new page
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def router(bundle: Path) -> APIRouter:
    """Return the routes of the page; the sample image is the bundle's."""
    routes = APIRouter(include_in_schema=False)
    files = {**FILES, SAMPLE: bundle / SAMPLE}

    @routes.head("/")
    @routes.get("/")
    async def page() -> Response:
        return FileResponse(FILES["index.html"], headers=HEADERS)

    @routes.head("/page/{name}")
    @routes.get("/page/{name}")
    async def file(name: str) -> Response:
        # Looked up, never joined to a path: a request names no file on this machine.
        path = files.get(name)
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers=HEADERS)

    return routes
