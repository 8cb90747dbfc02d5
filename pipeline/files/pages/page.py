"""A page of its template: the head and the colours are the same for all, in `page.html`."""

from __future__ import annotations

from pathlib import Path

from pipeline.lazy import jinja2

_SHARED = Path(__file__).parent


def render_page(template: Path, **values: object) -> str:
    """The text of a page.

    Args:
        template: extends ``page.html``, and may take others of its folder or of this one into it.
        values: what it shows, ``title`` among them. Text is escaped; one that is not there is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _SHARED]), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template.name).render(**values)
