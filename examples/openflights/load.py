r"""Loads OpenFlights' raw files as a naive importer would, and so makes an existing, dirty database.

python examples/openflights/load.py DIR [URI]     (URI: MONGODB_URI, or mongodb://127.0.0.1/openflights)

A ``\N`` stays the two-character string, an empty field stays ``""``, and a numeric column that does not parse stays
the string that it was. Nothing is guarded here: this is what the audit is for.
"""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

Convert = Callable[[str], object]

#: The columns of each file; the first is the `_id`, where a file has one of its own.
COLUMNS: dict[str, dict[str, Convert]] = {
    "airports": {
        "_id": int, "name": str, "city": str, "country": str, "iata": str, "icao": str, "latitude": float,
        "longitude": float, "altitude": int, "utc_offset": float, "dst": str, "timezone": str, "type": str,
        "source": str,
    },
    "airlines": {
        "_id": int, "name": str, "alias": str, "iata": str, "icao": str, "callsign": str, "country": str,
        "active": str,
    },
    "countries": {"name": str, "iso_code": str, "dafif_code": str},
    "planes": {"name": str, "iata": str, "icao": str},
    "routes": {
        "airline": str, "airline_id": int, "source": str, "source_id": int, "destination": str,
        "destination_id": int, "codeshare": str, "stops": int, "equipment": str.split,
    },
}  # fmt: skip


def documents(file: Path, columns: dict[str, Convert]) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines)):
            values = {
                name: _converted(text, convert) for (name, convert), text in zip(columns.items(), row, strict=True)
            }
            yield values if "_id" in columns else {"_id": number, **values}


def _converted(text: str, convert: Convert) -> object:
    try:
        return convert(text)
    except ValueError:
        return text


def load(folder: Path, database: Database[dict[str, Any]]) -> None:
    for name, columns in COLUMNS.items():
        database.drop_collection(name)
        database[name].insert_many(documents(folder / f"{name}.dat", columns))
        print(f"{name}: {database[name].estimated_document_count():,} documents")


def main() -> None:
    if not 2 <= len(sys.argv) <= 3:  # noqa: PLR2004 - DIR [URI]
        sys.exit(__doc__)
    given = sys.argv[2:] or [os.environ.get("MONGODB_URI", "mongodb://127.0.0.1/openflights")]
    try:
        with MongoClient[dict[str, Any]](given[0], serverSelectionTimeoutMS=5000) as client:
            load(Path(sys.argv[1]), client.get_default_database("openflights"))
    except OSError as error:
        sys.exit(f"{error.filename} cannot be read: {error.strerror}. DIR is the folder with OpenFlights' .dat files.")
    except PyMongoError as error:
        sys.exit(f"The server cannot be used ({type(error).__name__}). Start one, or name it as the second argument.")


if __name__ == "__main__":
    main()
