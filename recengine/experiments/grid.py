"""A table of texts, written as Markdown or LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from recengine.export import Cell

_MARKS = re.compile(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--"}
_TEX |= {mark: rf"\{mark}" for mark in "&%$#_{}"} | {">=": r"$\ge$", "<": "$<$", ">": "$>$"}
_TEX_MARKS = re.compile("|".join(re.escape(mark) for mark in sorted(_TEX, key=len, reverse=True)))


@dataclass(frozen=True)
class Grid:
    """A header and rows; a cell that is None is not known. best : (row, column) of the cells that stand out."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    best: frozenset[tuple[int, int]] = frozenset()

    def markdown(self) -> Iterator[str]:
        """Yield the lines of a Markdown table."""
        yield _line(map(markdown_text, self.header))
        yield _line(["---"] * len(self.header))
        for cells in self._cells("**{}**", markdown_text):
            yield _line(cells)

    def latex(self, caption: str, notes: Sequence[str] = ()) -> Iterator[str]:
        """Yield the lines of a LaTeX table, which needs the package booktabs."""
        yield r"\begin{table}"
        yield rf"\caption{{{latex_text(caption)}}}"
        yield rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}"
        yield r"\toprule"
        yield " & ".join(map(latex_text, self.header)) + r" \\"
        yield r"\midrule"
        for cells in self._cells(r"\textbf{{{}}}", latex_text):
            yield " & ".join(cells) + r" \\"
        yield from (r"\bottomrule", r"\end{tabular}")
        yield from (rf"\par\footnotesize {latex_text(note)}" for note in notes)
        yield r"\end{table}"

    def _cells(self, marked: str, text_of: Callable[[str], str]) -> Iterator[list[str]]:
        for r, row in enumerate(self.rows):
            texts = [text_of(cell_text(cell)) for cell in row]
            yield [marked.format(text) if (r, c) in self.best else text for c, text in enumerate(texts)]


def cell_text(cell: Cell) -> str:
    """Return a cell as text: a number with four digits, nothing for what is not known."""
    if cell is None or cell != cell:
        return ""
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split())).replace("<", "&lt;")


def latex_text(text: str) -> str:
    """Return text that LaTeX shows as it is."""
    return _TEX_MARKS.sub(lambda mark: _TEX[mark[0]], text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
