"""A real use of each library: no import for its own sake, and a result that is always the same.

Run as a program it uses all of them without walls, and prints the results as JSON.
"""

import asyncio
import io
import json
import os
import tempfile


def aiohttp():
    from aiohttp import http

    class Quiet:
        def pause_reading(self):
            pass

        resume_reading = pause_reading

    parser = http.HttpRequestParser(Quiet(), asyncio.new_event_loop(), limit=2**16)
    messages, upgraded, _ = parser.feed_data(b"GET /a?b=1 HTTP/1.1\r\nHost: h\r\nX-Y: z\r\n\r\n")
    request = messages[0][0]
    return [request.method, request.path, request.headers["X-Y"], upgraded]


def bcrypt():
    import bcrypt

    salt = b"$2b$04$abcdefghijklmnopqrstuu"
    hashed = bcrypt.hashpw(b"secret", salt)
    return [hashed.decode(), bcrypt.checkpw(b"secret", hashed), bcrypt.checkpw(b"other", hashed)]


def cffi():
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(
        "size_t strlen(const char *); void qsort(void *, size_t, size_t, int (*)(int *, int *));"
    )
    library = ffi.dlopen(None)
    numbers = ffi.new("int[]", [3, 1, 2])

    @ffi.callback("int(int *, int *)")
    def order(left, right):
        return left[0] - right[0]

    library.qsort(numbers, 3, ffi.sizeof("int"), order)
    return [library.strlen(b"confined"), list(numbers)]


def charset_normalizer():
    from charset_normalizer import from_bytes

    found = from_bytes("Ein Gürteltier läuft über die Straße, schön.".encode("cp1252") * 4).best()
    return [str(found).count("Gürteltier"), found.encoding.startswith("cp")]


def cryptography():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = AESGCM(bytes(16)).encrypt(bytes(12), b"plain", b"with")
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    key.public_key().verify(key.sign(b"text"), b"text")
    return [sealed.hex(), key.sign(b"text").hex(), len(Ed25519PrivateKey.generate().sign(b""))]


def frozenlist():
    from frozenlist import FrozenList

    values = FrozenList([1, 2])
    values.append(3)
    values.freeze()
    try:
        values.append(4)
    except RuntimeError:
        return [list(values), values.frozen]


def greenlet():
    from greenlet import greenlet

    heard = []

    def other(value):
        while value is not None:
            heard.append(value)
            value = main.switch(value * 2)

    main = greenlet.getcurrent() if hasattr(greenlet, "getcurrent") else None
    if main is None:
        from greenlet import getcurrent

        main = getcurrent()
    side = greenlet(other)
    return [[side.switch(n) for n in (1, 2, 3)], heard]


def grpcio():
    import grpc

    with grpc.insecure_channel("ipv4:127.0.0.1:1") as channel:
        try:
            channel.unary_unary("/a/b")(b"", timeout=20)
        except grpc.RpcError as error:
            return [error.code().name, grpc.StatusCode.UNAVAILABLE.value[1]]


def lxml():
    from lxml import etree

    tree = etree.fromstring("<a><b n='1'>x</b><b n='2'>y</b></a>")
    sheet = etree.XSLT(
        etree.fromstring(
            "<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'>"
            "<xsl:template match='/'><r><xsl:value-of select='sum(//@n)'/></r></xsl:template>"
            "</xsl:stylesheet>"
        )
    )
    return [tree.xpath("//b[@n>1]/text()"), str(sheet(tree)).splitlines()[-1]]


def markupsafe():
    from markupsafe import Markup, escape

    return [
        str(escape("<a>&'\"")),
        str(Markup("<b>%s</b>") % "<i>"),
        Markup("&lt;x&gt;").unescape(),
    ]


def msgpack():
    import msgpack

    packed = msgpack.packb({"a": [1, 2.5, b"x", None]}, use_bin_type=True)
    return [packed.hex(), list(msgpack.Unpacker(io.BytesIO(packed * 2)))[1]["a"][1]]


def multidict():
    from multidict import CIMultiDict

    headers = CIMultiDict([("Accept", "a"), ("ACCEPT", "b"), ("Host", "h")])
    return [headers.getall("accept"), len(headers), headers["host"]]


def numpy():
    import numpy

    matrix = numpy.random.default_rng(7).normal(size=(200, 200))
    inverse = numpy.linalg.inv(matrix)
    spectrum = numpy.abs(numpy.fft.rfft(numpy.sin(numpy.arange(256) * 2 * numpy.pi / 16)))
    return [
        bool(numpy.allclose(inverse @ matrix, numpy.eye(200), atol=1e-6)),
        int(spectrum.argmax()),
    ]


def orjson():
    import datetime

    import orjson

    moment = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    text = orjson.dumps({"b": 1, "a": moment}, option=orjson.OPT_SORT_KEYS)
    return [text.decode(), orjson.loads(text)["b"]]


def pandas():
    import pandas

    frame = pandas.DataFrame({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.csv")
        frame.to_csv(path, index=False)
        again = pandas.read_csv(path)
    dates = pandas.date_range("2026-01-31", periods=2, freq="ME", tz="Europe/Vienna")
    return [again.groupby("k")["v"].sum().to_dict(), [str(date) for date in dates]]


def pillow():
    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 48), fill="red")
    sizes = []
    for kind in ("PNG", "JPEG", "WEBP"):
        buffer = io.BytesIO()
        image.filter(ImageFilter.GaussianBlur(1)).save(buffer, kind)
        sizes.append(Image.open(io.BytesIO(buffer.getvalue())).size)
    return [[list(size) for size in sizes], list(image.resize((1, 1)).getpixel((0, 0)))]


def propcache():
    from propcache.api import cached_property

    class Counter:
        count = 0

        @cached_property
        def value(self):
            self.count += 1
            return self.count

    counter = Counter()
    return [counter.value, counter.value, counter.count]


def protobuf():
    from google.protobuf import struct_pb2
    from google.protobuf.internal import api_implementation

    message = struct_pb2.Struct()
    message.update({"a": [1, {"b": True}]})
    again = struct_pb2.Struct.FromString(message.SerializeToString())
    return [again["a"][1]["b"], again == message, api_implementation.Type()]


def psutil():
    import psutil

    usage = psutil.disk_usage(".")
    return [usage.total > 0, psutil.cpu_count()]  # Of other processes it sees none.


def pyarrow():
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.table({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.parquet")
        pyarrow.parquet.write_table(table, path, compression="zstd")
        again = pyarrow.parquet.read_table(path)
    total = again.group_by("k").aggregate([("v", "sum")]).sort_by("k")
    return [total["v_sum"].to_pylist(), pyarrow.compute.max(again["v"]).as_py()]


def pydantic_core():
    from pydantic_core import SchemaValidator, ValidationError, core_schema

    validator = SchemaValidator(
        core_schema.typed_dict_schema(
            {"age": core_schema.typed_dict_field(core_schema.int_schema(ge=0))}
        )
    )
    try:
        validator.validate_python({"age": -1})
    except ValidationError as error:
        return [validator.validate_json('{"age": "42"}'), error.errors()[0]["type"]]


def pyyaml():
    import yaml

    text = yaml.dump({"a": [1, None], "b": "ü"}, Dumper=yaml.CSafeDumper, allow_unicode=True)
    return [text, yaml.load("a: &x [1]\nb: *x", Loader=yaml.CSafeLoader)]


def regex():
    import regex

    return [
        regex.findall(r"\p{Lu}\p{Ll}+", "Äpfel und Öl"),
        bool(regex.fullmatch(r"(?:cats){e<=1}", "cuts")),
    ]


def rpds_py():
    import rpds

    first = rpds.HashTrieMap({"a": 1})
    second = first.insert("b", 2)
    return [len(first), len(second), list(rpds.List([1, 2]).push_front(0))]


def scikit_learn():
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    data, kinds = load_iris(return_X_y=True)
    forest = RandomForestClassifier(20, random_state=1, n_jobs=2).fit(data, kinds)
    line = LogisticRegression(max_iter=500).fit(data, kinds)
    return [round(forest.score(data, kinds), 2), round(line.score(data, kinds), 2)]


def scipy():
    import scipy.optimize
    import scipy.sparse
    import scipy.spatial

    found = scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2 + 1, [0.0])
    tree = scipy.spatial.cKDTree([[0, 0], [1, 1], [5, 5]])
    return [round(float(found.x[0]), 3), int(tree.query([4, 4])[1]), scipy.sparse.eye(9).nnz]


def sqlalchemy():
    import sqlalchemy
    from sqlalchemy import orm

    class Base(orm.DeclarativeBase):
        pass

    class Note(Base):
        __tablename__ = "notes"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        text: orm.Mapped[str]

    with tempfile.TemporaryDirectory() as folder:
        engine = sqlalchemy.create_engine(f"sqlite:///{folder}/notes.db")
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            session.add_all([Note(text="one"), Note(text="two")])
            session.commit()
            texts = session.scalars(sqlalchemy.select(Note.text).order_by(Note.id)).all()
        engine.dispose()
    return list(texts)


def tornado():
    from tornado import gen, ioloop, queues, util

    async def main():
        queue = queues.Queue()
        for number in range(3):
            await queue.put(number)
        await gen.sleep(0)
        return [await queue.get() for _ in range(3)]

    from tornado.speedups import websocket_mask

    found = ioloop.IOLoop(make_current=False).run_sync(main)
    return [found, websocket_mask(b"abcd", b"hello").hex(), util.GzipDecompressor is not None]


def websockets():
    from websockets.frames import Frame, Opcode
    from websockets.speedups import apply_mask

    frame = Frame(Opcode.TEXT, b"hi").serialize(mask=False)
    return [frame.hex(), apply_mask(b"hello", b"abcd").hex()]


def wrapt():
    import wrapt

    @wrapt.decorator
    def twice(wrapped, instance, args, kwargs):
        return [wrapped(*args, **kwargs)] * 2

    @twice
    def add(left, right):
        return left + right

    return [add(1, 2), add.__name__, wrapt.ObjectProxy([1]) == [1]]


def yarl():
    from yarl import URL

    url = URL("http://ex.org:80/ä?b=1") / "c d"
    return [str(url), (url % {"q": "x y"}).query_string, url.port]


def zstandard():
    import zstandard

    packed = zstandard.ZstdCompressor(level=3, threads=2).compress(b"words " * 10000)
    return [len(packed) < 1000, zstandard.ZstdDecompressor().decompress(packed)[:6].decode()]


#: Distribution -> its use.
USES = {
    name.replace("_", "-"): value
    for name, value in sorted(globals().items())
    if callable(value) and not name.startswith("_")
}


if __name__ == "__main__":
    print(json.dumps({name: use() for name, use in USES.items()}))
