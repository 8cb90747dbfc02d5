"""Archives that others may have written (``model.keras``, ``.npz``): looked at before anything of them is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.files.guard.regular_file import check_regular
from pipeline.lazy import h5py, np

_MOST_TIMES, _SMALL = 4, 1 << 20  # what is written here is not packed
_MOST_MEMBERS = 100_000


def check_archive(path: Path) -> None:
    """Refuse a zip archive that unpacks to far more than it is, or whose members would lie outside of a folder.

    Raises:
        Missing: there is no such file.
        UserError: it does, or it is no archive.
    """
    size = check_regular(path).st_size
    with _opened(path) as archive:
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS or sum(item.file_size for item in members) > _MOST_TIMES * size + _SMALL:
            raise UserError(f"{path} unpacks to far more than its {size:,} bytes; it is not read")
        for item in members:
            name = PurePosixPath(item.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise UserError(f"{path} has a member {item.filename[:60]!r} outside of its folder; it is not read")


def check_keras(path: Path) -> dict[str, tuple[int, ...]]:
    """As `check_archive`, of a model that Keras wrote; its weights are looked at as well.

    Returns:
        The shapes of its arrays, by their names in the file.

    Raises:
        UserError: they lead to other files, or declare more than is there.
    """
    from pipeline.files.guard.hdf5 import check_tree

    check_archive(path)
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, found: object) -> None:
        if isinstance(found, h5py.Dataset):
            shapes[name] = found.shape

    with _opened(path) as archive:
        for name in archive.namelist():
            if not name.endswith(".h5"):
                continue
            content = archive.read(name)
            with h5py.File(io.BytesIO(content), "r") as file:
                check_tree(file, len(content))
                file.visititems(note)
    return shapes


def check_arrays(path: Path) -> None:
    """As `check_archive`, of arrays that NumPy wrote: none may declare more than is there, or hold objects.

    Raises:
        UserError: one does.
    """
    check_archive(path)
    with _opened(path) as archive:
        for item in archive.infolist():
            with archive.open(item) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(member)
            if dtype.hasobject or math.prod(shape) * dtype.itemsize > item.file_size:
                raise UserError(f"{path} is damaged ({item.filename[:60]} declares more than it holds)")


class _opened:
    """Opens an archive, and tells in one line what goes wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._archive = zipfile.ZipFile(self._path)
        except _WRONG as error:
            raise self._told(error) from None
        return self._archive

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._archive.close()
        if isinstance(error, _WRONG) and not isinstance(error, UserError):
            raise self._told(error) from None

    def _told(self, error: BaseException) -> UserError:
        return UserError(f"{self._path} is damaged ({' '.join(str(error).split())[:120]})")


_WRONG = (
    OSError,
    ValueError,
    LookupError,
    RuntimeError,
    TypeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
