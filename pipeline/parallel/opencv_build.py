"""Which build of OpenCV is installed.

Each build is a package of its own that pip knows nothing of the others of, and all of them are the one folder ``cv2``:
two of them lie over each other, and removing one leaves neither.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

BUILDS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
_ADVICE = "then pip install opencv-python-headless (or opencv-python, which shows windows but needs libX11 and libGL)"


def opencv_builds(folder: Path | None = None) -> dict[str, str]:
    """The builds that are installed beside ``cv2``, with their versions; OpenCV is not imported for it.

    Args:
        folder: where to look; that of the ``cv2`` that would be imported if None.
    """
    if folder is None:
        found = importlib.util.find_spec("cv2")
        if found is None or found.origin is None:
            return {}
        folder = Path(found.origin).parents[1]
    packages = (path.name.removesuffix(".dist-info").rpartition("-") for path in folder.glob("opencv_*.dist-info"))
    versions = {name.replace("_", "-"): version for name, _, version in packages}
    return {name: versions[name] for name in BUILDS if name in versions}


def opencv_clash(builds: dict[str, str]) -> str:
    """What to do where there is more than one build; empty where there is not."""
    if len(builds) < 2:
        return ""
    named = " and ".join(f"{name} {version}" for name, version in builds.items())
    return f"{named} are both installed, over each other: pip uninstall -y {' '.join(builds)}, {_ADVICE}"


def opencv_missing(error: ImportError, builds: dict[str, str]) -> str:
    """What to do where OpenCV does not load; empty where the error is not about it."""
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(Path(trace.tb_frame.f_code.co_filename).parent.name)
        trace = trace.tb_next
    if error.name != "cv2" and "cv2" not in places:
        return ""
    removed = f"pip uninstall -y {' '.join(builds)}, {_ADVICE}" if builds else "pip install opencv-python-headless"
    return f"OpenCV does not load ({' '.join(str(error).split())}): {removed}"
