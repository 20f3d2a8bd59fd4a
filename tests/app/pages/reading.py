"""A page as a reader without JavaScript has it: its words, its links, its tags."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_HIDDEN = {"script", "style", "title"}


@dataclass
class Tag:
    name: str
    attributes: dict[str, str | None]


@dataclass
class Reader(HTMLParser):
    tags: list[Tag] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not _HIDDEN & set(self._open):
            self.words += data.split()


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def text_of(html: str) -> str:
    """Its words with single spaces between them."""
    return " ".join(read(html).words)


def links(html: str) -> Iterator[str]:
    for tag in read(html).tags:
        if tag.name == "a":
            yield tag.attributes["href"] or ""


def fields(html: str) -> dict[str, str]:
    """Names and values of the inputs, the last of equal names."""
    inputs = (tag.attributes for tag in read(html).tags if tag.name == "input")
    return {str(a["name"]): a.get("value") or "" for a in inputs}
