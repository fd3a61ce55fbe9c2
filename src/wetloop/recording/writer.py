"""Writes a recording while the session runs: arrays in, batch by batch; nothing else knows HDF5.

Rows are gathered in memory and reach the file at ``flush``. Between two flushes the file on the disk does not
change: it can be opened at any time, and after the process was killed, as it was at the last flush. The journal
beside it has every row as soon as it was taken in, and goes when the file is whole.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError
from wetloop.recording import derive, schema
from wetloop.recording.journal import How, Journal, NoJournal, Opening, Safekeeping, journal_path
from wetloop.recording.raw import FILTERS, RawSamples
from wetloop.recording.reader import Recording
from wetloop.recording.space import Space, SpaceGuard
from wetloop.recording.storage import Storage, chunk_cache_bytes, create
from wetloop.recording.tables import Tables
from wetloop.recording.texts import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wetloop.core.types import Records, Samples
    from wetloop.recording.header import Header
    from wetloop.recording.schema import Table

MOST_BUFFERED_BYTES = 32 << 20
SYNC_S = 0.5


class Writer:
    """One recording under way; ends with ``finish`` or ``abort``.

    After the first failure the file on the disk is left as it is, and every call raises ``RecordingError``.

    Attributes
    ----------
    raw_stopped_sample
        Where raw samples ended for want of space, sample; -1 where they did not.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        raw_samples: bool = False,
        compression: schema.Compression = "none",
        safekeeping: Safekeeping | None = None,
    ) -> None:
        self._path = Path(path)
        self._header = header
        self._failure = ""
        own = {schema.DECISIONS: header.decision_dtype, schema.FRAMES: header.frame_dtype}
        self._dtypes = schema.RECORDS | own | schema.SOMETIMES
        self._rows: dict[Table, list[Records]] = {table: [] for table in self._dtypes}
        self._buffered_bytes, self._synced_s = 0, time.monotonic()
        self._coverage = derive.Coverage()
        self.raw_stopped_sample = -1
        self._safekeeping = safekeeping = safekeeping or Safekeeping()
        self._space = SpaceGuard(self._path.parent, safekeeping.reserve_mb)
        self._space.require(self._path)
        self._storage = create(self._path, Storage)
        self._file = h5py.File(self._storage, "w", rdcc_nbytes=chunk_cache_bytes(header))
        self._journal: Journal | NoJournal = NoJournal()
        self._open = True
        atexit.register(self.abort)
        from wetloop.recording.skeleton import write_skeleton

        if compression == "bitshuffle-lz4":
            hdf5.require_bitshuffle()

        with self._writing():
            write_skeleton(self._file, header, FILTERS["gzip"], FILTERS[compression] if raw_samples else None)
            self._tables = Tables(self._file, header)
            self._raw = RawSamples(self._file[f"{schema.RAW}/data"]) if raw_samples else None
            self._commit()
            if safekeeping.journal != "none":
                opening = Opening.of(header, self._dtypes, How(raw_samples, compression))
                self._journal = create(
                    journal_path(self._path), lambda path: Journal(path, opening, safekeeping.journal)
                )

    @property
    def path(self) -> Path:
        """File of the recording."""
        return self._path

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table of the recording."""
        return tuple(self._dtypes)

    @property
    def raw_stopped_s(self) -> float | None:
        """Where raw samples ended for want of space, s of the rig's clock; None where they did not."""
        stopped = self.raw_stopped_sample
        return stopped / self._header.info.sampling_frequency if stopped >= 0 else None

    @property
    def space_mb(self) -> tuple[float, float]:
        """Free space of the disk, and what is to be left of it, MB; infinite and 0 where there is no guard."""
        return self._space.free_mb, self._space.needed_mb

    @property
    def n_bytes(self) -> int:
        """Bytes on the disk, those of the journal included."""
        return self._storage.size_on_disk + self._journal.n_bytes

    @property
    def acknowledged_sample(self) -> int:
        """Up to here everything survives a power cut; -1 without a journal."""
        return self._journal.acknowledged_sample

    def append(
        self,
        *,
        spikes: Records | None = None,
        pulses: Records | None = None,
        blocks: Records | None = None,
        decisions: Records | None = None,
        operator_commands: Records | None = None,
        samples: Samples | None = None,
    ) -> None:
        """Take in copies of any number of rows, of the types in ``wetloop.kernels.records``.

        ``decisions`` are of ``schema.decision_dtype``; ``samples``, int16 of shape (n_samples, n_channels),
        are kept where the recording was made for raw samples.
        """
        self._refuse_unless_open()
        batches = (spikes, pulses, blocks, operator_commands, decisions)
        for table, rows in zip((*schema.RECORDS, schema.DECISIONS), batches, strict=True):
            if rows is not None and len(rows):
                self._take(table, rows)
        if samples is not None and self._raw is not None:
            with self._writing():
                self._raw.append(samples)
            self._buffered_bytes += samples.nbytes
            with self._writing():
                self._journal.samples(samples)
        if self._buffered_bytes > MOST_BUFFERED_BYTES:
            self.flush()

    def append_to(self, table: Table, rows: Records) -> None:
        """Take in copies of rows of any table."""
        self._refuse_unless_open()
        if len(rows):
            self._take(table, rows)
        if self._buffered_bytes > MOST_BUFFERED_BYTES:
            self.flush()

    def append_stored(self, stored: bytes, filter_mask: int, n_rows: int) -> None:
        """Take in a chunk of raw samples as another recording of the same compression stores it."""
        self._refuse_unless_open()
        if self._raw is not None:
            with self._writing():
                self._raw.append_stored(stored, filter_mask, n_rows)
            self._buffered_bytes += len(stored)
        if self._buffered_bytes > MOST_BUFFERED_BYTES:
            self.flush()

    def dtype(self, table: Table) -> np.dtype[np.void]:
        """Return the type of a table's rows."""
        return self._dtypes[table]

    def flush(self) -> None:
        """Bring everything taken in so far to the disk; stop raw samples, then the recording, before it is full.

        Of raw samples, whole chunks.
        """
        self._refuse_unless_open()
        self._write()
        space = self._space.look(self.n_bytes)
        if space is not Space.AMPLE and self._raw is not None:
            with self._writing():
                self._raw.finish()
            self._raw = None
            self.raw_stopped_sample = self._coverage.stop
        if space is Space.OUT:
            self._complete({"ended": "disk nearly full"})
            self._failure = (
                f"{self._path}: the disk is nearly full ({self._space.free_mb:.0f} MB left): the recording was ended "
                "and the file is complete up to here; free some space or choose another disk"
            )
            raise RecordingError(self._failure)

    def finish(self, summary: Mapping[str, Any], recovered: Mapping[str, Any] | None = None) -> None:
        """Write what is left, the derived tables and the summary; mark the file complete and close it.

        ``recovered`` tells of a recording that was made from the remains of another one.
        """
        self._refuse_unless_open()
        if recovered is not None:
            self._file.attrs[schema.RECOVERED_ATTRIBUTE] = json.dumps(recovered)
        self._complete(summary)

    def _complete(self, summary: Mapping[str, Any]) -> None:
        stopped = {} if self.raw_stopped_sample < 0 else {"raw_samples_stopped_at": self.raw_stopped_sample}
        text = json.dumps({**summary, **stopped}, default=_plain)
        with self._writing():
            self._journal.summary(text)
        self._write()
        with self._writing():
            self._finish_raw()
            self._tables.leave_out_empty()
            derive.write_derived(self._file, self._header, self._coverage.spans, self._commit)
            write_text(self._file, "summary", text)
            self._commit()
            self._file.attrs[schema.COMPLETE_ATTRIBUTE] = 1
            self._close()
        if not self._safekeeping.keep_journal:
            Recording(self._path).close()
            self._journal.remove()

    def abort(self) -> None:
        """Write what is left and close, without the derived tables; never raises, and may be called again."""
        if self._open:
            with contextlib.suppress(RecordingError):
                self.flush()
                with self._writing():
                    self._finish_raw()
                    self._close()

    def _finish_raw(self) -> None:
        if self._raw is not None:
            self._raw.finish()

    def _take(self, table: Table, rows: Records) -> None:
        if rows.dtype != self._dtypes[table]:
            raise RecordingError(f"rows for {table.path} are of type {rows.dtype}, not {self._dtypes[table]}")
        n_patterns = len(self._header.table)
        if table is schema.PULSES and not 0 <= rows["pattern"].min() <= rows["pattern"].max() < n_patterns:
            raise RecordingError(f"a pulse names a pattern outside the table of {n_patterns} patterns")
        self._rows[table].append(rows.copy())
        self._buffered_bytes += rows.nbytes
        if table is not schema.FRAMES or self._safekeeping.journal == "all":
            with self._writing():
                self._journal.rows(table.path, rows)

    def _write(self) -> None:
        """Bring everything to the disk: first the journal, which a torn file can be made from.

        Raw samples stand in the file alone, which is synced for them: a power cut then costs about a second of them.
        """
        with self._writing():
            self._journal.sync()
            self._write_rows()
            self._commit()
            if self._raw is not None and time.monotonic() - self._synced_s > SYNC_S:
                self._storage.sync()
                self._synced_s = time.monotonic()

    def _write_rows(self) -> None:
        for table, batches in self._rows.items():
            if batches:
                rows = np.concatenate(batches)
                self._tables.append(table, rows)
                if table is schema.BLOCKS:
                    self._coverage.add(rows["start_sample"], rows["start_sample"] + rows["n_samples"])
                batches.clear()
        self._buffered_bytes = 0

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn the first failure into a ``RecordingError``, and leave the file alone from then on."""
        try:
            yield
        except BaseException as error:
            self._failure = (
                f"{self._path}: writing failed and the recording stops here: {error}. "
                "What was flushed before is still in the file; free some space or choose another disk"
                f"{self._remedy()}"
            )
            self._let_go()
            if isinstance(error, Exception):
                raise RecordingError(self._failure) from error
            raise

    def _commit(self) -> None:
        self._file.flush()
        self._storage.commit()

    def _close(self) -> None:
        self._file.close()
        self._storage.commit()
        self._storage.sync()
        self._let_go()

    def _let_go(self) -> None:
        """Close HDF5 without committing; it must not outlive Python, whose ``Storage`` it calls."""
        self._open = False
        atexit.unregister(self.abort)
        self._file.close()
        self._storage.close()
        self._journal.close()

    def _remedy(self) -> str:
        path = journal_path(self._path)
        return f", then run: wetloop recover {self._path}" if path.exists() else ""

    def _refuse_unless_open(self) -> None:
        if not self._open:
            raise RecordingError(self._failure or f"{self._path}: the recording has been closed")


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a NumPy value or a mapping."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else dict(value)
