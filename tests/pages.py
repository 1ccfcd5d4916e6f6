"""Pages that were written, as tests read them."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ('Page',)

VOID = {'meta', 'link', 'img', 'input', 'br', 'hr'}


class Page(HTMLParser):
    """Elements of a page; fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.stack, f'not closed: {self.stack}'

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack, f'</{tag}> closes nothing'
        assert self.stack.pop() == tag, f'</{tag}> at {self.getpos()}'

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.stack[-1], data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag):
        return [text for name, text in self.texts if name == tag]
