"""The floor: a Starlette app that returns the same objects, serialised anew for every request by the same encoder."""

import json
import os
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWERS = json.loads(Path(os.environ["HUITOU_BARE_ANSWERS"]).read_text(encoding="utf-8"))


async def answer(request: Request) -> Response:
    """The stored object of a name, encoded."""
    await request.body()
    return Response(orjson.dumps(ANSWERS[request.path_params["name"]]), media_type="application/json")


app = Starlette(routes=[Route("/{name}", answer, methods=["GET", "POST"])])
