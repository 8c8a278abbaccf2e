"""NumPy's .npz: a zip archive of arrays."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smcli.errors import InputError
from smcli.numbers.words import show, show_all
from smcli.read._objects import array_rows
from smcli.read.npy import read_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from smcli.model import RawRow
    from smcli.read._source import Source

SUFFIXES = (".npz",)
MAGIC = b"PK"
KEYED = True

_ENDING = ".npy"
_MAX_UNPACKED = 1 << 30  # bytes; beyond it, an entry may not unpack to many times its size
_MAX_RATIO = 100


def rows(source: Source) -> Iterator[RawRow]:
    """The rows of the array along its last axis."""
    return array_rows(array(source), source.name)


def array(source: Source) -> NDArray[Any]:
    """The array that the key names, or the only one.

    Raises:
        InputError: it is not a zip archive, holds no or several arrays, or a broken one.
    """
    stream = source.stream if source.stream.seekable() else io.BytesIO(source.stream.read())
    with _readable(source.name), zipfile.ZipFile(stream) as archive:
        entry = _entry(archive, source.name, source.key)
        if entry.file_size > max(_MAX_UNPACKED, _MAX_RATIO * entry.compress_size):
            problem = f"{source.name} would unpack {entry.compress_size} bytes to {entry.file_size}"
            raise InputError(problem, "save the array with np.save: a .npy file is never unpacked")
        with archive.open(entry) as data:
            return read_array(
                data, f"{source.name}, array {show(entry.filename.removesuffix(_ENDING))}", entry.file_size
            )


def _entry(archive: zipfile.ZipFile, name: str, key: str | None) -> zipfile.ZipInfo:
    """The entry of the array that is asked for."""
    entries = {entry.filename.removesuffix(_ENDING): entry for entry in archive.infolist() if not entry.is_dir()}
    keys = show_all(entries)
    if key is not None and key not in entries:
        raise InputError(f"{name} has no array {show(key)}; its arrays: {keys}", "choose one with --key NAME")
    if key is None and len(entries) != 1:
        raise InputError(f"{name} holds {len(entries)} arrays: {keys}", "choose one with --key NAME")
    return entries[key] if key is not None else next(iter(entries.values()))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn the many errors of a hostile archive into one."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{name} is not a .npz file that can be read: {show(str(error), 100)}", "save it again with np.savez"
        ) from None
