"""Models that another process can import."""

import os
from typing import Annotated

from bson import ObjectId
from pydantic import Field

from integrity import Model, Unique


class Part(Model, collection="parts"):
    id: ObjectId | int = Field(default_factory=ObjectId)
    name: str
    price: Annotated[float, Field(gt=0)]
    tags: list[str]
    code: Annotated[str | None, Unique(case_insensitive=True)] = None
    judged_by: int = Field(default_factory=os.getpid)
