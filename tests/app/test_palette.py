"""The palette: one set of colours for pages, charts and Streamlit's widgets, and text that is readable."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pages.ui import palette

ROOT = Path(__file__).resolve().parents[2]
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b|light-dark\(")


def luminance(colour: str) -> float:
    """Return WCAG's relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_streamlit_s_theme_has_the_colours_of_the_palette(mode: str) -> None:
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][mode]
    named = {name: getattr(colour, mode) for name, colour in palette.THEME.items()}
    assert [c.lower() for c in theme["chartCategoricalColors"]] == [
        getattr(colour, mode) for colour in palette.CATEGORIES.values()
    ]
    for key, name in (
        ("primaryColor", "accent"),
        ("linkColor", "accent"),
        ("backgroundColor", "paper"),
        ("textColor", "ink"),
        ("borderColor", "line"),
    ):
        assert theme[key].lower() == named[name], key


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable_on_its_background(mode: str) -> None:
    named = {name: getattr(colour, mode) for name, colour in palette.THEME.items()}
    for under in ("paper", "surface", "raised"):
        for text in ("ink", "soft", "label", "accent", "error"):
            assert contrast(named[text], named[under]) >= 4.5, (text, under)
    for text, under in (("on-accent", "accent"), ("on-middle", "middle"), ("on-low", "low")):
        assert contrast(named[text], named[under]) >= 4.5, (text, under)


def test_no_page_or_style_sheet_has_a_colour_outside_the_palette() -> None:
    files = [
        *(ROOT / "pages" / "ui").glob("*.css"),
        *(ROOT / "pages" / "ui").glob("*.py"),
        *(ROOT / "pages").glob("*.py"),
    ]
    assert len(files) > 20
    mask = "#000 40%, transparent 40% 60%, #000 60%"  # its colour is never seen
    for path in files:
        if path.name != "palette.py":
            assert not COLOUR.search(path.read_text(encoding="utf-8").replace(mask, "")), path.name


def test_every_colour_that_a_style_sheet_names_is_in_the_palette() -> None:
    for path in (ROOT / "pages" / "ui").glob("*.css"):
        names = set(re.findall(r"var\(--([a-z-]+)", path.read_text(encoding="utf-8")))
        assert {name for name in names if not name.startswith("st-")} - {"display"} <= set(palette.THEME), path.name
