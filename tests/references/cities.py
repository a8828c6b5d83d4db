"""A reference, and a value that is there once: what tests of an application's concerns need."""

from typing import Annotated

from integrity import Model, Ref, Unique


class City(Model, collection="cities"):
    id: int
    code: Annotated[str | None, Unique()] = None


class Shop(Model, collection="shops"):
    id: int
    city: Annotated[int, Ref(City)]
