"""Named arrays and a JSON header as bytes: versioned, checksummed, bounded, no pickle."""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from emf.runtime.arrays import Array
from emf.runtime.errors import SnapshotError

MAGIC = b"EMFSTRM"
VERSION = 1
MAX_BYTES = 2**30
_DIGEST = hashlib.sha256().digest_size
_PREFIX = struct.Struct("<7sBI")
_DTYPES = ("float32", "float16", "int8", "int64")


def pack(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Bytes of a header and arrays, of the types of `_DTYPES`, ending with their SHA-256."""
    layout = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
    text = json.dumps({"header": dict(header), "arrays": layout}).encode()
    parts = [_PREFIX.pack(MAGIC, VERSION, len(text)), text]
    parts += [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values()]
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def unpack(blob: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of `pack`.

    Raises:
        SnapshotError: not such bytes, damaged, of another version, or larger than 1 GiB.
    """
    if not isinstance(blob, bytes | bytearray | memoryview) or not _PREFIX.size + _DIGEST <= len(blob) <= MAX_BYTES:
        raise SnapshotError("expected the bytes of Stream.snapshot(), found something else or a part of them")
    body, digest = bytes(blob[:-_DIGEST]), bytes(blob[-_DIGEST:])
    magic, version, length = _PREFIX.unpack_from(body)
    if magic != MAGIC:
        raise SnapshotError("expected the bytes of Stream.snapshot(), found others")
    if version != VERSION:
        raise SnapshotError(f"expected a snapshot of version {VERSION}, found {version}; restore it where it was made")
    if hashlib.sha256(body).digest() != digest:
        raise SnapshotError("the snapshot is damaged: its checksum does not match; use another copy")
    try:
        document = json.loads(body[_PREFIX.size : _PREFIX.size + length])
        arrays = _read_arrays(body, _PREFIX.size + length, document["arrays"])
        header: dict[str, Any] = document["header"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SnapshotError(f"the snapshot is malformed ({error}); use another copy") from error
    return header, arrays


def _read_arrays(body: bytes, offset: int, layout: Mapping[str, Any]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, (dtype, shape) in layout.items():
        if dtype not in _DTYPES or not all(isinstance(size, int) and 0 <= size <= MAX_BYTES for size in shape):
            raise ValueError(f"array {name!r} of type {dtype!r}")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if offset + count * np.dtype(dtype).itemsize > len(body):
            raise ValueError(f"array {name!r} reaches beyond the end")
        flat = np.frombuffer(body, np.dtype(dtype).newbyteorder("<"), count, offset)
        arrays[name] = flat.reshape(shape).astype(dtype)
        offset += flat.nbytes
    if offset != len(body):
        raise ValueError("bytes are left over")
    return arrays
