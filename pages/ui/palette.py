"""The colours of pages, charts and posters. Streamlit's widgets take theirs from `.streamlit/config.toml`."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """One colour in the light and in the dark theme."""

    light: str
    dark: str

    @property
    def css(self) -> str:
        """Return the colour of the theme in use: Streamlit sets `color-scheme`, which `light-dark` reads."""
        return f"light-dark({self.light}, {self.dark})"


CATEGORIES = {
    "amber": Colour("#c07a18", "#e3a03c"),
    "sky": Colour("#4a9df2", "#74b2f7"),
    "vermilion": Colour("#b62e0c", "#d8431c"),
    "lime": Colour("#97c22f", "#bbe35f"),
    "violet": Colour("#7434ba", "#8a50c8"),
    "pink": Colour("#f29abd", "#f5bacb"),
    "teal": Colour("#0b5f52", "#17806f"),
    "slate": Colour("#66719e", "#7f88b5"),
}
"""Eight hues that stay distinct under the common colour-vision deficiencies, in the order in which charts use them."""

THEME = {
    "paper": Colour("#faf8f4", "#0c0e14"),
    "surface": Colour("#ffffff", "#151821"),
    "raised": Colour("#f0ece3", "#1d212c"),
    "line": Colour("#ddd7ca", "#2a2e3a"),
    "ink": Colour("#1a1c22", "#eceae4"),
    "soft": Colour("#5c5a55", "#a3a6b0"),
    "label": Colour("#5c5a55", "#eceae4"),
    "accent": Colour("#97500a", "#f2b544"),
    "on-accent": Colour("#ffffff", "#17120a"),
    "rule": Colour("rgb(40 60 120 / 7%)", "rgb(150 170 255 / 5%)"),
    "shade": Colour("rgb(60 45 20 / 22%)", "rgb(0 0 0 / 55%)"),
    "ready": Colour("#0b7a5f", "#46c7a0"),
    "error": Colour("#b3261e", "#ff8a80"),
    "middle": Colour("#c9c3b5", "#565c6d"),
    "on-middle": Colour("#1a1c22", "#ffffff"),
    "low": Colour("#1c6fb8", "#74b2f7"),
    "on-low": Colour("#ffffff", "#0c0e14"),
    "outline": Colour("#8b877e", "#6b7080"),
}
"""What the style sheets call `var(--name)`."""


def style() -> str:
    """Return the variables of the style sheets, and a class `c0` to `c7` for the swatch of each category."""
    names = "".join(f"--{name}: {colour.css}; " for name, colour in THEME.items())
    swatches = "".join(
        f".swatch.c{number} {{ background: {colour.css}; box-shadow: none; }}\n"
        for number, colour in enumerate(CATEGORIES.values())
    )
    return f"<style>.stApp {{ {names}}}\n{swatches}</style>"
