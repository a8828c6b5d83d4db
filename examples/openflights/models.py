"""What OpenFlights' airports, airlines, countries, planes and routes are meant to be.

integrity audit examples/openflights/models.py --uri mongodb://127.0.0.1/openflights
"""

from typing import Annotated, Literal

from integrity import Allow, CopyOf, Model, Ref, Unique


class Country(Model, collection="countries"):
    id: int
    name: Annotated[str, Unique()]
    iso_code: str | None = None
    dafif_code: str | None = None


class Airport(Model, collection="airports"):
    id: int
    name: str
    city: str | None = None
    country: Annotated[str | None, Ref(Country, field="name")] = None
    iata: Annotated[str | None, Unique()] = None
    icao: Annotated[str | None, Unique()] = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: int | None = None
    utc_offset: float | None = None
    dst: str | None = None
    timezone: str | None = None
    type: str | None = None
    source: str | None = None


class Airline(Model, collection="airlines"):
    id: int
    name: str
    alias: str | None = None
    iata: Annotated[str | None, Unique()] = None
    icao: str | None = None
    callsign: str | None = None
    country: Annotated[str | None, Ref(Country, field="name")] = None
    active: Literal["Y", "N"] | None = None


class Plane(Model, collection="planes"):
    id: int
    name: str
    iata: Annotated[str | None, Unique()] = None
    icao: str | None = None


class Route(Model, collection="routes"):
    id: int
    airline: str | None = None
    airline_id: Annotated[int | None, Ref(Airline)] = None
    source: Annotated[str | None, CopyOf(Airport, "iata", via="source_id")] = None
    source_id: Annotated[int | None, Ref(Airport)] = None
    destination: Annotated[str | None, CopyOf(Airport, "iata", via="destination_id")] = None
    destination_id: Annotated[int | None, Ref(Airport)] = None
    codeshare: Annotated[Literal["", "Y"], Allow("")] = ""
    stops: int | None = None
    equipment: list[Annotated[str, Ref(Plane, field="iata")]] | None = None
