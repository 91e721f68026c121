import dataclasses
import datetime
import decimal
import enum
import uuid
from pathlib import Path

import attrs

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


@attrs.frozen
class Stop:
    name: str
    at: datetime.datetime


@dataclasses.dataclass
class Trip:
    id: uuid.UUID
    stops: tuple[Stop, ...]
    moods: set[Mood]
    price: decimal.Decimal
    diary: Path
    photo: bytes


class Plugin:
    @hookimpl
    def travel(self, trip: Trip) -> Trip:
        last = trip.stops[-1]
        home = Stop(last.name.upper(), last.at + datetime.timedelta(days=1))
        return Trip(
            id=trip.id,
            stops=(*trip.stops, home),
            moods=trip.moods - {Mood.WILD},
            price=trip.price * 2,
            diary=trip.diary / "last.txt",
            photo=trip.photo[::-1],
        )
