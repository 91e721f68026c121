import sqlite3

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self):
        self.held = []

    @hookimpl
    def act(self, value):
        place, *statements = value
        db = sqlite3.connect(place, uri=place.startswith("file:"), isolation_level=None)
        rows = []
        try:
            for statement in statements:
                if statement == "hold":
                    self.held.append(db)
                else:
                    rows = [list(row) for row in db.execute(statement).fetchall()]
        finally:
            if db not in self.held:
                db.close()
        return rows

    @hookimpl
    def echo(self, value):
        return value
