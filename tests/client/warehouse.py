"""Models that another process can import."""

from typing import Annotated

from pydantic import Field

from integrity import Model


class Part(Model, collection="parts"):
    id: int
    name: str
    price: Annotated[float, Field(gt=0)]
    tags: list[str]
