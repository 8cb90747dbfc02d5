"""A window that shows frames: OpenCV's own where the build that is installed has one, else that of Python's Tk."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Protocol

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.lazy import cv2
from pipeline.parallel.child import python

_ELSE = "without `show=True` predictions are JSON lines"
_TRY = "import cv2; cv2.namedWindow('screen'); cv2.waitKey(1)"


class Screen(Protocol):
    """Shows frames until it is closed or ``q`` is pressed; use it in a ``with`` block."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, image: np.ndarray) -> bool:
        """Show ``(height, width, 3)`` uint8, RGB; False once the window was closed."""
        ...


def open_screen(title: str) -> Screen:
    """Open a window.

    Args:
        title: of the window.

    Raises:
        UserError: there is no screen, or neither OpenCV nor Python was built with windows.
    """
    return OpenCvScreen(title) if opencv_has_windows() else TkScreen(title)


def opencv_has_windows() -> bool:
    """Whether OpenCV was built with windows: ``opencv-python`` is, ``opencv-python-headless`` is not."""
    return bool(getattr(cv2, "currentUIFramework", str)())


class OpenCvScreen:
    """A window of OpenCV, which can be resized and shows the image as large as it is."""

    _WIDTH, _HEIGHT = 1280, 720  # OpenCV does not tell the size of the screen

    def __init__(self, title: str) -> None:
        # Where there is no screen OpenCV's window ends the whole process, so another one tries first.
        if subprocess.run(python(_TRY), capture_output=True, timeout=60).returncode != 0:
            raise UserError(f"`show=True`: there is no screen here; {_ELSE}")
        self._title, self._sized = title, False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def __enter__(self) -> OpenCvScreen:
        return self

    def __exit__(self, *exc: object) -> None:
        cv2.destroyAllWindows()

    def show(self, image: np.ndarray) -> bool:
        """See `Screen`."""
        if not self._sized:
            height, width = image.shape[:2]
            scale = min(1.0, self._WIDTH / width, self._HEIGHT / height)
            cv2.resizeWindow(self._title, round(width * scale), round(height * scale))
            self._sized = True
        cv2.imshow(self._title, image[..., ::-1])
        pressed = cv2.waitKey(1) & 0xFF
        return pressed != ord("q") and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1


class TkScreen:
    """A window of the toolkit that comes with Python, made no larger than the screen."""

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError:
            raise UserError(
                "`show=True` needs Tk, which this Python lacks (on Debian: apt-get install python3-tk), "
                f"or opencv-python in place of opencv-python-headless; {_ELSE}"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError:
            raise UserError(f"`show=True`: there is no screen here; {_ELSE}") from None
        self._photo_of = ImageTk.PhotoImage
        self._closed = False
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._root.bind("<Key-q>", lambda _: self._close())
        self._label = tkinter.Label(self._root)
        self._label.pack()

    def __enter__(self) -> TkScreen:
        return self

    def __exit__(self, *exc: object) -> None:
        self._root.destroy()

    def _close(self) -> None:
        self._closed = True

    def show(self, image: np.ndarray) -> bool:
        """See `Screen`."""
        most = (self._root.winfo_screenwidth() * 0.9, self._root.winfo_screenheight() * 0.85)
        shown = Image.fromarray(image)
        scale = min(1.0, most[0] / shown.width, most[1] / shown.height)
        if scale < 1:
            shown = shown.resize((round(shown.width * scale), round(shown.height * scale)))
        # Tk does not keep the image alive by itself.
        self._photo = self._photo_of(shown, master=self._root)
        self._label.configure(image=self._photo)
        self._root.update()
        return not self._closed
