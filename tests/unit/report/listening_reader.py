"""The listening page read back as a browser would: sections, lists, players, links."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Item:
    is_hit: bool
    text: str = ""
    title: str = ""
    players: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass
class Section:
    heading: str = ""
    text: str = ""
    lists: dict[str, list[Item]] = field(default_factory=dict)


class Page(HTMLParser):
    """What the page shows. Fails on a tag that is not closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: list[Section] = []
        self.links: list[str] = []
        self.intro = ""
        self.in_title = False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.links += [found[name] for name in ("src", "href") if name in found]
        if tag != "meta":
            self.open.append(tag)
        if tag == "section":
            self.sections.append(Section())
        elif tag in ("ol", "ul"):
            self.sections[-1].lists[tag] = []
        elif tag == "li":
            self._list().append(Item(is_hit=found.get("class") == "hit"))
        elif tag == "audio":
            assert "controls" in found and found["preload"] == "none"
            self._list()[-1].players.append(found["src"])
            self._list()[-1].labels.append(found["aria-label"])
        self.in_title = found.get("class") == "title" or (self.in_title and tag == "bdi")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.in_title = False

    def handle_data(self, data: str) -> None:
        if "li" in self.open:
            item = self._list()[-1]
            item.text += data
            item.title += data if self.in_title else ""
        elif "h2" in self.open:
            self.sections[-1].heading += data
        elif "section" in self.open:
            self.sections[-1].text += data
        elif "script" not in self.open and "style" not in self.open:
            self.intro += data

    def _list(self) -> list[Item]:
        return list(self.sections[-1].lists.values())[-1]
