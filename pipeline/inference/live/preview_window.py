"""A window that shows frames, by the toolkit that comes with Python."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.errors import UserError


class Screen:
    """Shows frames until it is closed or ``q`` is pressed; use it in a ``with`` block.

    Args:
        title: of the window.

    Raises:
        UserError: there is no screen, or this Python was built without Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError:
            raise UserError(
                "`show=True` needs Tk, which this Python lacks (on Debian: apt-get install python3-tk); "
                "without `show=True` predictions are JSON lines"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError:
            raise UserError(
                "`show=True`: there is no screen here; without `show=True` predictions are JSON lines"
            ) from None
        self._photo_of = ImageTk.PhotoImage
        self._closed = False
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._root.bind("<Key-q>", lambda _: self._close())
        self._label = tkinter.Label(self._root)
        self._label.pack()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *exc: object) -> None:
        self._root.destroy()

    def _close(self) -> None:
        self._closed = True

    def show(self, image: np.ndarray) -> bool:
        """Show ``(height, width, 3)`` uint8, RGB; False once the window was closed."""
        most = (self._root.winfo_screenwidth() * 0.9, self._root.winfo_screenheight() * 0.85)
        picture = Image.fromarray(image)
        scale = min(1.0, most[0] / picture.width, most[1] / picture.height)
        if scale < 1:
            picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        # Tk does not keep the image alive by itself.
        self._photo = self._photo_of(picture, master=self._root)
        self._label.configure(image=self._photo)
        self._root.update()
        return not self._closed
