"""Show an image that another library drew, within the page."""

import base64
from dataclasses import dataclass

from headrace.pages.markup import Markup, element


@dataclass(frozen=True)
class Image:
    """A PNG image with its title and a sentence on how to read it."""

    title: str
    png: bytes
    reading: str

    def render(self, name: str = "") -> Markup:
        """Return the image as HTML."""
        source = f"data:image/png;base64,{base64.b64encode(self.png).decode()}"
        image = element("img", src=source, alt=f"{self.title}. {self.reading}")
        return element(
            "figure", element("h3", self.title), image, element("figcaption", self.reading)
        )
