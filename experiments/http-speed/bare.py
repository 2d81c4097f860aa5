"""The floor: a Starlette app that returns the same JSON, serialised anew for every request."""

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
    """The stored object of a name, encoded by the encoder that the service uses on that route."""
    name = request.path_params["name"]
    await request.body()
    body = json.dumps(ANSWERS[name]).encode() if name.startswith("churn") else orjson.dumps(ANSWERS[name])
    return Response(body, media_type="application/json")


app = Starlette(routes=[Route("/{name}", answer, methods=["GET", "POST"])])
