"""What a benchmark leaves for people: tables in the terminal, Markdown, plots and one HTML page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from harness.measure.evaluation.figures import write_csv
from harness.measure.evaluation.tables import Table, tables, what_ran
from harness.measure.result import Bench

PAGE = "bench.html"
MARKDOWN = "bench.md"


def show(bench: Bench, sizes: list[str], console: Console) -> None:
    """Print all tables; on the simulated lab each of them says so."""
    console.print(what_ran(bench))
    for table in tables(bench, sizes):
        console.print(_for_terminal(table, simulated=bench.where.simulated))


def write_all(bench: Bench, sizes: list[str], folder: Path) -> list[Path]:
    """Write figures.csv, the plots, bench.md and bench.html into a folder."""
    # Matplotlib takes a second to import, and who only shows a benchmark draws nothing.
    import jinja2  # noqa: PLC0415

    from harness.measure.evaluation import plots  # noqa: PLC0415

    drawn = plots.draw(bench, folder)
    found = tables(bench, sizes)
    markdown = folder / MARKDOWN
    markdown.write_text(
        f"# Measured\n\n{what_ran(bench)}\n\n" + "\n".join(table.markdown() for table in found),
        encoding="utf-8",
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True
    )
    page = folder / PAGE
    page.write_text(
        environment.get_template("page.html.j2").render(
            what_ran=what_ran(bench),
            simulated=bench.where.simulated,
            started=bench.where.started,
            tables=found,
            plots=[_inline(path) for path in drawn],
        ),
        encoding="utf-8",
    )
    return [write_csv(bench, folder), markdown, *drawn, page]


def _inline(path: Path) -> str:
    """An SVG file without what only a file of its own has in front."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _for_terminal(table: Table, *, simulated: bool) -> RichTable:
    title = f"[simulated] {table.title}" if simulated else table.title
    shown = RichTable(title=title.replace("[", r"\["), caption=table.note, title_justify="left")
    for index, name in enumerate(table.head):
        shown.add_column(name, justify="right" if 0 < index < len(table.head) - 1 else "left")
    for row in table.rows:
        shown.add_row(*(cell.replace("[", r"\[") for cell in row))
    return shown
