"""Records of TFRecord files by their number, read without TensorFlow, with their checksums."""

import gzip
import itertools
import os
import shutil
import struct
import tempfile
import weakref
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

# A record is its length, the checksum of the length, its content, and the content's checksum.
_HEADER, _CHECKSUM = struct.Struct("<QI"), struct.Struct("<I")
# Threads that look for the records of several files; they wait for the disk.
_THREADS = 16


class FilePart(NamedTuple):
    """Some successive records of one file.

    Attributes:
        path: the file.
        skip: the number of records before them.
        take: their number.
        total: the number of records that the whole file must have.
    """

    path: Path
    skip: int
    take: int
    total: int


class TfRecords:
    """The records of some TFRecord files, by number: `records[7] -> bytes`.

    The files are read once from length to length, which finds where each record begins; that index
    takes 8 bytes a record and is made anew each time. Both checksums of a record, of its length and
    of its content, are verified whenever it is read. A file that is compressed with gzip has no
    records that could be found without reading all before them, so it is decompressed into a folder
    for temporary files (TMPDIR), which is deleted when the records are no longer used.

    Args:
        parts: the parts to read, one after another.

    Raises:
        ValueError: when a file is no TFRecord file, is cut short, is damaged, or has another number
            of records than it must have; names the file and the record.
        OSError: when a file cannot be read, or there is no room for its decompressed copy.

    Source:
        TensorFlow, `tensorflow/core/lib/io/record_writer.h`, for the format. The checksums are
        CRC-32C, computed by `google-crc32c`.
    """

    def __init__(self, parts: Sequence[FilePart]):
        with ThreadPoolExecutor(_THREADS) as threads:
            paths = [part.path for part in parts]
            are_compressed = threads.map(_is_compressed, paths)
            compressed = list(itertools.compress(paths, are_compressed))
            copies = dict(zip(compressed, self._decompress(compressed, threads), strict=True))
            paths = [copies.get(path, path) for path in paths]
            self._shards = [
                _Shard(path, part.path.name, part.skip, offsets[part.skip :][: part.take + 1])
                for path, part, offsets in zip(
                    paths, parts, threads.map(_find_records, paths, parts), strict=True
                )
            ]
        self._ends = list(itertools.accumulate(part.take for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> bytes:
        """Returns the content of a record."""
        shard = bisect_right(self._ends, number)
        return self._shards[shard].read(number - (self._ends[shard - 1] if shard else 0))

    def _decompress(self, paths: Sequence[Path], threads: ThreadPoolExecutor) -> Iterator[Path]:
        """Decompresses files into a folder that lives as long as the records."""
        if not paths:
            return iter(())
        folder = Path(tempfile.mkdtemp("-tfrecord"))
        # Worker processes have copies of the records without this finalizer.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return threads.map(_decompress, paths, (folder / path.name for path in paths))


def _decompress(path: Path, copy: Path) -> Path:
    try:
        with gzip.open(path) as source, open(copy, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} cannot be decompressed ({error})") from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: the records of {path.name} are read from a decompressed copy; make "
            "room for it, set TMPDIR to a larger folder, or decompress the data set",
            str(copy),
        ) from error
    return copy


class _Shard(NamedTuple):
    """Some successive records of one file, whose places are known."""

    path: Path
    name: str  # of the file, also where the path is that of a copy
    skip: int
    offsets: np.ndarray  # int64[records + 1]

    def read(self, record: int) -> bytes:
        """The content of a record, which is counted from the first of the part."""
        where = f"{self.name}, record {self.skip + record}"
        start, end = self.offsets[record : record + 2].tolist()
        with open(self.path, "rb", buffering=0) as file:
            stored = os.pread(file.fileno(), end - start, start)
        if _length(stored[: _HEADER.size], where) != len(stored) - _OVERHEAD:
            raise ValueError(f"{where} has another length than when the file was opened")
        content = stored[_HEADER.size : -_CHECKSUM.size]
        if _masked_crc(content) != _CHECKSUM.unpack(stored[-_CHECKSUM.size :])[0]:
            raise ValueError(f"{where} is damaged: its content does not have its checksum")
        return content


_OVERHEAD = _HEADER.size + _CHECKSUM.size


def _find_records(path: Path, part: FilePart) -> np.ndarray:
    """Where each record of a file begins and the last one ends, int64[part.total + 1]."""
    offsets = [0]
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while (offset := offsets[-1]) < size:
            where = f"{part.path.name}, record {len(offsets) - 1}"
            end = offset + _length(os.pread(file.fileno(), _HEADER.size, offset), where) + _OVERHEAD
            if end > size:
                raise ValueError(f"{where} is cut short: {end - size} bytes are missing")
            offsets.append(end)
    if len(offsets) - 1 != part.total:
        raise ValueError(
            f"{part.path.name} has {len(offsets) - 1} records, expected {part.total}, as "
            "dataset_info.json says"
        )
    return np.array(offsets)


def _length(header: bytes, where: str) -> int:
    """The length that a record's header says."""
    if len(header) < _HEADER.size:
        raise ValueError(f"{where} is cut short: it ends within its length")
    length, checksum = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != checksum:
        raise ValueError(f"{where} is damaged: its length does not have its checksum")
    return length


def _is_compressed(path: Path) -> bool:
    """Whether a file is compressed with gzip; its name need not say so."""
    with open(path, "rb") as file:
        header = file.read(_HEADER.size)
    if header[:2] != b"\x1f\x8b":
        return False
    # The length of a record may look like gzip, but not with its checksum.
    plain = len(header) == _HEADER.size and _masked_crc(header[:8]) == _HEADER.unpack(header)[1]
    return not plain


def _masked_crc(content: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, turned and shifted, so that it may itself be checked."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
