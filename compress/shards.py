"""Many samples of equal shape in few files: one raw `.npy` per field and shard, one `index.json`.

Samples are appended one by one and read back by index in any order. Memory stays constant: the writer holds at most one
shard, the reader only the rows that were asked for (read by seek, nothing is mapped or kept). Nothing is compressed or
pickled, and samples cannot be changed once written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from compress.artifact import write_json
from compress.errors import StorageError

Sample = dict[str, np.ndarray]
INDEX = "index.json"


def _file(folder: Path, shard: int, field: str) -> Path:
    return folder / f"{shard:05d}.{field}.npy"


def _require_within(what: str, numbers: np.ndarray, end: int) -> None:
    if numbers.size and (numbers.min() < 0 or numbers.max() >= end):
        raise IndexError(f"{what} {numbers.min()}..{numbers.max()} are not within 0..{end - 1}")


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        counts, fields = index["counts"], index["fields"]
    except FileNotFoundError:
        raise StorageError(f"{path}: missing; delete the folder and run the same command again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: not an index of shards ({error}); delete the folder and run again") from error
    return {"counts": counts, "fields": fields}


class ShardWriter:
    """Appends samples to `folder`; opened again after an interruption it goes on behind the last whole shard.

    `count` is the number of samples that are safely on disk or in the current shard: a producer that resumes starts
    with sample number `count`. Every sample has the fields, shapes and dtypes of the first one (ValueError otherwise).
    """

    def __init__(self, folder: Path, shard_size: int = 256) -> None:
        if shard_size < 1:
            raise ValueError(f"shard_size {shard_size} is below 1")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._shard_size = shard_size
        self._counts: list[int] = []
        self._fields: dict[str, dict[str, Any]] = {}
        self._waiting: list[Sample] = []
        if (folder / INDEX).exists():
            index = _read_index(folder)
            self._counts, self._fields = index["counts"], index["fields"]

    @property
    def count(self) -> int:
        """Samples added so far, those of an earlier process included."""
        return sum(self._counts) + len(self._waiting)

    def add(self, sample: Mapping[str, np.ndarray]) -> None:
        """Append one sample: a mapping of field name to array (any shape, a fixed-size dtype)."""
        arrays = {name: np.asarray(value) for name, value in sample.items()}
        described = {name: {"dtype": a.dtype.str, "shape": list(a.shape)} for name, a in arrays.items()}
        if any(a.dtype.hasobject for a in arrays.values()):
            raise ValueError("shards hold plain numbers and fixed-width bytes, not Python objects")
        if not self._fields:
            self._fields = described
        elif described != self._fields:
            raise ValueError(f"sample {self.count} is {described} where the first one is {self._fields}")
        # A copy, because producers reuse their buffers.
        self._waiting.append({name: a.copy() for name, a in arrays.items()})
        if len(self._waiting) == self._shard_size:
            self._flush()

    def close(self) -> None:
        """Write what is waiting; an empty folder gets an index of no samples."""
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # After an error the current shard is kept too: its samples are whole.
        self.close()

    def _flush(self) -> None:
        if self._waiting:
            for name in self._fields:
                rows = np.stack([sample[name] for sample in self._waiting])
                np.save(_file(self._folder, len(self._counts), name), rows, allow_pickle=False)
            self._counts = [*self._counts, len(self._waiting)]
            self._waiting = []
        write_json(self._folder / INDEX, {"counts": self._counts, "fields": self._fields})


class Shards:
    """Random access to the samples of a folder that `ShardWriter` wrote."""

    def __init__(self, folder: Path) -> None:
        index = _read_index(folder)
        self._folder = folder
        self._fields: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            name: (np.dtype(field["dtype"]), tuple(field["shape"])) for name, field in index["fields"].items()
        }
        self._ends = np.cumsum([0, *index["counts"]])
        self._offsets: dict[Path, int] = {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order of the first sample."""
        return tuple(self._fields)

    def read(self, indices: Sequence[int] | np.ndarray, fields: Iterable[str] | None = None) -> Sample:
        """Rows `indices` (any order, repeats allowed) of `fields` (default: all), stacked: {field: [n, ...]}.

        Raises IndexError for an index outside 0..len-1, KeyError for an unknown field, StorageError for a damaged
        file.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        names = self.fields if fields is None else tuple(fields)
        return {name: self._read_field(name, wanted) for name in names}

    def read_parts(
        self, indices: Sequence[int] | np.ndarray, parts: Sequence[int] | np.ndarray, fields: Iterable[str]
    ) -> Sample:
        """Of row `indices[i]` only number `parts[i]` along the first axis of each field: {field: [n, ...]}.

        The rest is not read. Raises what `read` does, and IndexError for a part outside the axis.
        """
        wanted, chosen = (np.asarray(numbers, dtype=np.int64).reshape(-1) for numbers in (indices, parts))
        return {name: self._read_field(name, wanted, chosen) for name in fields}

    def _read_field(self, name: str, wanted: np.ndarray, parts: np.ndarray | None = None) -> np.ndarray:
        dtype, shape = self._fields[name]
        _require_within("indices", wanted, len(self))
        count = 1
        if parts is None:
            parts = np.zeros_like(wanted)
        else:
            count, shape = shape[0], shape[1:]
            _require_within(f"parts of {name}", parts, count)
        rows = np.empty((len(wanted), *shape), dtype)
        shards = np.searchsorted(self._ends, wanted, side="right") - 1
        row_bytes = int(dtype.itemsize * np.prod(shape, dtype=np.int64))
        for shard in np.unique(shards):
            path = _file(self._folder, int(shard), name)
            offset = self._offset(path)
            with path.open("rb", buffering=0) as file:
                for position in np.flatnonzero(shards == shard):
                    number = int(wanted[position] - self._ends[shard]) * count + int(parts[position])
                    file.seek(offset + number * row_bytes)
                    block = file.read(row_bytes)
                    if len(block) != row_bytes:
                        raise StorageError(f"{path}: ends too early; delete the folder and run the same command again")
                    rows[position] = np.frombuffer(block, dtype).reshape(shape)
        return rows

    def _offset(self, path: Path) -> int:
        """Bytes before the first row; the header of each file is read once."""
        if path not in self._offsets:
            try:
                with path.open("rb") as file:
                    version = np.lib.format.read_magic(file)
                    if version != (1, 0):
                        raise ValueError(f"npy version {version}")
                    np.lib.format.read_array_header_1_0(file)
                    self._offsets[path] = file.tell()
            except (OSError, ValueError) as error:
                raise StorageError(f"{path}: unreadable ({error}); delete the folder and run again") from error
        return self._offsets[path]
