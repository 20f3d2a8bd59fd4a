"""What is wrong, in the protocol's own form: `{"error": "..."}` and nothing beside it."""

import orjson
from starlette.responses import Response

from app.problem import Problem, shortened

PREFIX = "/v2"


def is_inference(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def inference_error(problem: Problem) -> Response:
    body = orjson.dumps({"error": shortened(problem.detail)})
    return Response(body, problem.status, dict(problem.headers), "application/json")
