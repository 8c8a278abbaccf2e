"""NumPy's .npz: a zip archive of arrays; one that is not compressed is mapped."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from smcli.errors import InputError
from smcli.numbers.words import show
from smcli.read import _carried
from smcli.read._source import pickled
from smcli.read._stored import Stored
from smcli.read.npy import header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.batch import Batch, RawBlock
    from smcli.read._source import Source

SUFFIXES = (".npz",)
MAGIC = rb"PK[\x01\x03\x05]"
KEYED = True

_ENDING = ".npy"
_MAX_UNPACKED = 1 << 30  # bytes; beyond it, an entry may not unpack to many times its size
_MAX_RATIO = 100
_BROKEN = (  # what zipfile and what it unpacks with raise over hostile bytes
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    ValueError, LookupError, OverflowError,
)  # fmt: skip
_LOCAL = struct.Struct("<4s22xHH")  # of a local file header: signature, lengths of the name and of the extra field


def read(source: Source) -> Batch:
    """The rows of the array that the key names, or the only one, or `logits` beside its targets."""
    with _archive(source) as (archive, entries):
        key = _carried.logits_key(entries, source)
        with _open(archive, entries[key], source) as stored:
            batch = stored.batch(source)
        return _carried.with_targets(batch, _beside(archive, entries, source, key), source)


def stream(source: Source) -> Iterator[RawBlock]:
    """The rows of that array, in blocks."""
    with _archive(source) as (archive, entries):
        key = _carried.logits_key(entries, source)
        carried = _beside(archive, entries, source, key)
        with _open(archive, entries[key], source) as stored:
            yield from _carried.blocks_with_targets(stored, carried, source)


def mapped(source: Source) -> RawBlock | None:
    """The rows of that array as one block, where they can be mapped."""
    with _archive(source) as (archive, entries):
        key = _carried.logits_key(entries, source)
        with _open(archive, entries[key], source) as stored:
            return _carried.mapped(stored, _beside(archive, entries, source, key), source)


def _beside(
    archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], source: Source, key: str
) -> Iterator[_carried.Beside]:
    """The arrays that hold targets or labels of the logits, one by one."""
    for name in _carried.beside(entries, source, key):
        with _open(archive, entries[name], source) as stored:
            yield _carried.Beside(name, stored.array(), stored.name)


@contextmanager
def _archive(source: Source) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The archive and its entries by name; the many errors of a hostile one become InputError."""
    stream = source.stream if source.stream.seekable() else io.BytesIO(source.stream.read())
    try:
        with zipfile.ZipFile(stream) as archive:
            if any(name.endswith("/data.pkl") for name in archive.namelist()):
                raise pickled(source.name, "a checkpoint of PyTorch, a zip archive around a pickle")
            entries = {e.filename.removesuffix(_ENDING): e for e in archive.infolist() if not e.filename.endswith("/")}
            yield archive, entries
    except _BROKEN as error:
        raise InputError(
            f"{source.name} is not a .npz file that can be read: {show(str(error), 100)}", "save it again with np.savez"
        ) from None


@contextmanager
def _open(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, source: Source) -> Iterator[Stored]:
    """The array of an entry.

    Raises:
        InputError: it is broken, packed in another way than NumPy's, or would unpack to far more than there is.
    """
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:  # NumPy writes no other
        problem = f"{source.name} is packed in a way that is not read: {entry.compress_type}"
        raise InputError(problem, "save it again with np.savez or np.savez_compressed")
    if entry.file_size > max(_MAX_UNPACKED, _MAX_RATIO * entry.compress_size):
        problem = f"{source.name} would unpack {entry.compress_size} bytes to {entry.file_size}"
        raise InputError(problem, "save the array with np.save: a .npy file is never unpacked")
    name = f"{source.name}, array {show(entry.filename.removesuffix(_ENDING))}"
    with archive.open(entry) as data:
        head = header(data, name, entry.file_size)
        offset = _offset(entry, source)
        if offset is not None:
            offset += data.tell()
        stream = data if offset is None else source.stream
        yield Stored(name, head.dtype, head.shape, stream, offset, fortran=head.fortran, last=True)


def _offset(entry: zipfile.ZipInfo, source: Source) -> int | None:
    """Where the bytes of an entry begin in a file, when they are stored as they are and all there."""
    size = source.size()
    if size is None or entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        return None
    stream: IO[bytes] = source.stream
    before = stream.tell()
    stream.seek(entry.header_offset)
    signature, name, extra = _LOCAL.unpack(stream.read(_LOCAL.size).ljust(_LOCAL.size, b"\0"))
    stream.seek(before)
    begin = entry.header_offset + _LOCAL.size + name + extra
    whole = signature == b"PK\3\4" and entry.compress_size == entry.file_size and begin + entry.file_size <= size
    return begin if whole else None
