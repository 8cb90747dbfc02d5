"""How the videos of a folder or table are listed, which every command takes that goes by their classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import Catalog, open_catalog
from pipeline.videos.catalog.chosen import choose_classes


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
    """Which videos of a folder or table count."""

    classes: tuple[str, ...] | None = field(default=None, metadata={"parse": parse_classes, "metavar": "A,B,..."})
    """Only videos of these classes."""

    def open(self, source: str | Path, *, use_table: bool = True) -> Catalog:
        """See `open_catalog` and `choose_classes`."""
        catalog = open_catalog(source, use_table=use_table)
        return catalog if self.classes is None else choose_classes(catalog, self.classes)
