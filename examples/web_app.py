"""A web program whose workers are clients of a group, and no nodes:

    RAFT_ACTORS_URL=raft://kv@10.0.0.1:4001,10.0.0.2:4001 uvicorn examples.web_app:app --workers 4

It needs fastapi and uvicorn: `pip install fastapi uvicorn`. The peers `kv` run elsewhere.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from raft_actors import AsyncCluster
from raft_actors.errors import NotApplied, OutcomeUnknown

__all__ = ["app"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One handle for each worker. The end of the worker ends its session."""
    async with AsyncCluster.from_env(timeout=10.0) as app.state.group:
        yield


app = FastAPI(lifespan=lifespan)


@app.put("/keys/{key}")
async def put(key: str, value: str, request: Request) -> dict[str, Any]:
    await request.app.state.group.write(("set", key, value))
    return {"key": key, "value": value, "worker": os.getpid()}


@app.get("/keys/{key}")
async def get(key: str, request: Request) -> dict[str, Any]:
    match await request.app.state.group.read(("get", key)):
        case ("ok", value):
            return {"key": key, "value": value, "worker": os.getpid()}
    raise HTTPException(404, "there is no such key")


@app.exception_handler(NotApplied)
async def not_applied(_request: Request, error: Exception) -> JSONResponse:
    """No majority was reached in time. Nothing happened: the client may try again."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})


@app.exception_handler(OutcomeUnknown)
async def outcome_unknown(_request: Request, error: Exception) -> JSONResponse:
    """It may have happened. To set the same key to the same value again does no harm."""
    return JSONResponse({"detail": str(error)}, 504)
