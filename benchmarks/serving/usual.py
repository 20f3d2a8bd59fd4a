"""A policy served as tutorials do it: pydantic in and out, torch in a `def` route."""

import sys
from typing import Any

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from mrq_core.agent import Agent
from mrq_core.config import Hyperparameters
from mrq_core.policy import policy_of

app = FastAPI()
_policy: Any = None


class Asked(BaseModel):
    observation: list[float]


class Answer(BaseModel):
    action: list[float]


@app.post("/act")
def act(asked: Asked) -> Answer:
    states = np.array([asked.observation], np.float32)
    actions = _policy.act(states, "deterministic", torch.Generator())
    return Answer(action=actions[0].tolist())


if __name__ == "__main__":
    _policy = policy_of(Agent(Hyperparameters(), (17,), 6, seed=0))
    uvicorn.run(
        app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False,
        log_level="warning",
    )  # fmt: skip
