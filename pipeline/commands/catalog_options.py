"""How the videos of a folder or table are listed, which every command takes that goes by their classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError

if TYPE_CHECKING:  # and imported where videos are listed: --help must not wait for NumPy
    from pipeline.videos.catalog.catalog import Catalog


def parse_classes(text: str) -> tuple[str, ...]:
    """``football,tennis`` as names.

    Raises:
        UserError: there is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UserError(f"{text!r} names no class; expected for example football,tennis")
    return names


@dataclass(frozen=True)
class CatalogOptions:
    """Which videos of a folder or table count, and where their classes stand."""

    classes: tuple[str, ...] | None = field(default=None, metadata={"parse": parse_classes, "metavar": "A,B,..."})
    """Only videos of these classes."""
    class_level: int | None = field(default=None, metadata={"metavar": "N"})
    """The N-th folder below DATA names the class: 3 for site/cam/fox/1.mp4. The first does where none is given."""

    def open(self, source: str | Path, *, use_table: bool = True) -> Catalog:
        """See `open_catalog` and `choose_classes`."""
        from pipeline.videos.catalog.catalog import open_catalog
        from pipeline.videos.catalog.chosen import choose_classes

        catalog = open_catalog(source, use_table=use_table, class_level=self.class_level)
        return catalog if self.classes is None else choose_classes(catalog, self.classes)
