"""The streams admitted to an engine: which are ready to be decoded, and how many chunks wait."""

from collections.abc import Collection, Iterable, Iterator

from emf.runtime.engine.slot import Slot, SlotPhase


class SlotTable:
    """The slots in use. It has no lock: the scheduler calls it under its own.

    A slot is ready if it has work and is not busy.
    """

    def __init__(self) -> None:
        # Dictionaries without values are sets that keep their order: among equals, the first to come goes first.
        self._slots: dict[Slot, None] = {}
        self._ready: dict[Slot, None] = {}
        self._waiting_chunks = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot]:
        """All slots, as they were at the call: the loop may remove them."""
        return iter(list(self._slots))

    @property
    def ready(self) -> Collection[Slot]:
        """The slots that a batch could take, in the order in which they became ready."""
        return self._ready.keys()

    @property
    def without_work(self) -> int:
        """How many slots are neither ready nor busy: each could still get audio and join the next batch."""
        return len(self._slots) - len(self._ready) - sum(slot.busy for slot in self._slots)

    @property
    def waiting_chunks(self) -> int:
        """How many chunks wait to be decoded, over all slots."""
        return self._waiting_chunks

    def add(self, slot: Slot) -> None:
        """Admit a stream."""
        self._slots[slot] = None

    def note_arrivals(self, slot: Slot, now: float) -> bool:
        """Take note of what was fed; see `Slot.note_arrivals`. Return whether the slot became ready."""
        self._waiting_chunks += slot.note_arrivals(now)
        return self._note_ready(slot, now)

    def take(self, slots: Iterable[Slot]) -> None:
        """Make slots busy, whether they were ready or not."""
        for slot in slots:
            self._ready.pop(slot, None)
            slot.busy = True

    def put_back(self, slots: Iterable[Slot], now: float) -> None:
        """End what made slots busy."""
        for slot in slots:
            slot.busy = False
            self._note_ready(slot, now)

    def pop_chunks(self, batch: Iterable[Slot]) -> list[float]:
        """Remove the chunk decoded of each stream. Return when these chunks were due.

        A stream whose batch only made its final result had no chunk. A stream released meanwhile has none any more.
        """
        due = [slot.chunks.waiting.popleft() for slot in batch if slot.chunks.waiting]
        self._waiting_chunks -= len(due)
        return due

    def remove(self, slot: Slot) -> bool:
        """Release a slot. Return whether it was still in use."""
        if slot.phase is SlotPhase.RELEASED:
            return False
        del self._slots[slot]
        self._ready.pop(slot, None)
        self._waiting_chunks -= slot.release()
        return True

    def _note_ready(self, slot: Slot, now: float) -> bool:
        if not slot.has_work or slot.busy or slot in self._ready:
            return False
        slot.ready_since = now
        self._ready[slot] = None
        return True
