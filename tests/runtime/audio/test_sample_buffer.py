"""A stream's samples: in their order, unharmed by what comes later, at a cost that grows with what comes."""

import threading
import time

import numpy as np

from emf.runtime.arrays import FloatArray
from emf.runtime.audio.sample_buffer import SampleBuffer

PIECE = np.arange(160, dtype=np.float32)


def filled(count: int) -> SampleBuffer:
    buffer = SampleBuffer(np.zeros(0, np.float32))
    for _ in range(count):
        buffer.append(PIECE)
    return buffer


def test_it_holds_what_came_and_was_not_dropped() -> None:
    random = np.random.default_rng(0)
    buffer, came = SampleBuffer(np.arange(7, dtype=np.float32), start=5), np.arange(7, dtype=np.float32)
    for _ in range(300):
        piece = random.standard_normal(random.integers(0, 400)).astype(np.float32)
        buffer.append(piece)
        came = np.concatenate([came, piece])
        buffer.drop_before(int(random.integers(0, 5 + len(came))))
        assert buffer.end == 5 + len(came)
        np.testing.assert_array_equal(buffer.samples, came[buffer.start - 5 :])
        low, high = sorted(random.integers(0, buffer.end + 50, 2).tolist())
        expected = came[max(low, buffer.start) - 5 : max(high, buffer.start) - 5]
        np.testing.assert_array_equal(buffer.span(low, high), expected)


def test_it_keeps_a_copy_and_what_was_read_stays() -> None:
    given, piece = PIECE.copy(), PIECE.copy()
    buffer = SampleBuffer(given)
    seen = [(buffer.samples, PIECE)]
    for number in range(20):
        piece[:] = number
        buffer.append(piece)
        seen.append((buffer.samples, buffer.samples.copy()))
        buffer.drop_before(buffer.start + 50)
    piece[:] = -1.0
    assert all(np.array_equal(then, now) for now, then in seen)
    np.testing.assert_array_equal(given, PIECE)


def test_small_pieces_take_linear_time() -> None:
    def seconds(count: int) -> float:
        begin = time.thread_time()  # of a processor, however many others want it
        assert filled(count).end == 160 * count
        return time.thread_time() - begin

    filled(100)
    short = min(seconds(3_000) for _ in range(3))
    assert min(seconds(24_000) for _ in range(2)) < 24 * short + 0.05  # quadratic: 64 times and more


def test_one_thread_appends_while_another_reads_and_drops() -> None:
    buffer, read = SampleBuffer(np.zeros(0, np.float32)), list[FloatArray]()

    def append_all() -> None:
        for _ in range(2_000):
            buffer.append(PIECE)

    writer = threading.Thread(target=append_all)
    writer.start()
    while writer.is_alive() or buffer.start < buffer.end:
        read.append(buffer.span(buffer.start, buffer.end))
        buffer.drop_before(buffer.start + len(read[-1]))
    writer.join()
    np.testing.assert_array_equal(np.concatenate(read), np.tile(PIECE, 2_000))
