"""Models that the processes of a test import by the name of this file."""

from typing import Annotated, Any

from integrity.declare.constraint import CopyOf, Ref, Unique
from integrity.declare.model import Model


class Item(Model, collection="items"):
    id: Any
    code: Annotated[str, Unique()]
    size: int


class Box(Model, collection="boxes"):
    id: int
    item: Annotated[int, Ref(Item)]
    code: Annotated[str | None, CopyOf(Item, "code", via="item")] = None
