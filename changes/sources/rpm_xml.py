"""Reading the two lists of an RPM repository (createrepo's repomd.xml and primary.xml): events in, plain rows out.

Only bytes whose signature or hash held come here; all the same a document type, by which entities could be declared, is
refused, and rows are given out while the rest is still unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.parsers import expat

Row = dict[str, Any]
COMMON = "http://linux.duke.edu/metadata/common"
REPO = "http://linux.duke.edu/metadata/repo"
RPM = "http://linux.duke.edu/metadata/rpm"
_MAX_TEXT = 1 << 20


class BadXml(Exception):
    """What is no list as it should be; the text says why."""


def data_of(text: bytes) -> list[Row]:
    """The entries of a repomd.xml: type, href, checksum with its type, size, open-size, timestamp."""
    return list(_rows([text], _Repomd()))


def packages_of(pieces: Iterable[bytes]) -> Iterator[Row]:
    """The packages of a primary.xml, one by one. Raises BadXml from within the iteration."""
    return _rows(pieces, _Primary())


class _Reader:
    """Collects one row from start to end of its element; `keep` says what an element within it brings."""

    row_element = ""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.row: Row | None = None
        self.text: list[str] = []
        self.length = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self.row_element:
            self.row = {"attributes": attributes, "provides": [], "requires": []}
        elif self.row is not None:
            self.keep(self.row, name, attributes)
        self.text, self.length = [], 0

    def characters(self, data: str) -> None:
        self.length += len(data)
        if self.length > _MAX_TEXT:
            raise BadXml("it has a text without end")
        self.text.append(data)

    def end(self, name: str) -> None:
        if self.row is None:
            return
        if name == self.row_element:
            self.rows.append(self.row)
            self.row = None
        else:
            self.close(self.row, name, "".join(self.text).strip())

    def keep(self, row: Row, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def close(self, row: Row, name: str, text: str) -> None:
        raise NotImplementedError


class _Repomd(_Reader):
    row_element = f"{REPO} data"

    def keep(self, row: Row, name: str, attributes: dict[str, str]) -> None:
        if name == f"{REPO} location":
            row["href"], row["base"] = (
                attributes.get("href", ""),
                "".join(v for k, v in attributes.items() if k.endswith("base")),
            )
        elif name in (f"{REPO} checksum", f"{REPO} open-checksum"):
            row[f"{name.split()[1]}-type"] = attributes.get("type", "")

    def close(self, row: Row, name: str, text: str) -> None:
        space, _, tag = name.rpartition(" ")
        if space == REPO and tag in ("checksum", "open-checksum", "size", "open-size", "timestamp"):
            row[tag] = text


class _Primary(_Reader):
    row_element = f"{COMMON} package"
    _texts = {
        f"{COMMON} name": "name",
        f"{COMMON} arch": "arch",
        f"{COMMON} summary": "summary",
        f"{RPM} sourcerpm": "sourcerpm",
    }

    def __init__(self) -> None:
        super().__init__()
        self.list_of: list[str] | None = None

    def keep(self, row: Row, name: str, attributes: dict[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "version":
                row["evr"] = (attributes.get("epoch", ""), attributes.get("ver", ""), attributes.get("rel", ""))
            case "checksum":
                row["checksum-type"] = attributes.get("type", "")
            case "size":
                row["size"], row["installed"] = attributes.get("package", ""), attributes.get("installed", "")
            case "location":
                row["href"] = attributes.get("href", "")
                row["base"] = "".join(value for key, value in attributes.items() if key.endswith("base"))
            case "provides" | "requires" as kind:
                self.list_of = row[kind]
            case "entry" if self.list_of is not None:
                self.list_of.append(attributes.get("name", ""))

    def close(self, row: Row, name: str, text: str) -> None:
        if name in self._texts:
            row[self._texts[name]] = text
        elif name == f"{COMMON} checksum":
            row["checksum"] = text
        elif name in (f"{RPM} provides", f"{RPM} requires"):
            self.list_of = None


def _rows(pieces: Iterable[bytes], reader: _Reader) -> Iterator[Row]:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _no_doctype
    for piece in pieces:
        _parse(parser.Parse, piece, False)
        yield from reader.rows
        reader.rows.clear()
    _parse(parser.Parse, b"", True)
    yield from reader.rows


def _parse(parse: Callable[[bytes, bool], Any], piece: bytes, last: bool) -> None:
    try:
        parse(piece, last)
    except expat.ExpatError as error:
        raise BadXml(f"it is no XML ({error})") from None


def _no_doctype(*_: Any) -> None:
    raise BadXml("it declares a document type, which such a list never does")
