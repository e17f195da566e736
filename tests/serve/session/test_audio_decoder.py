"""Bytes from the wire become the samples that an independent codec makes of them."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.errors import AudioError
from emf.serve.session.audio_decoder import AudioDecoder
from emf.serve.session.audio_format import AudioFormat, Encoding


@pytest.mark.parametrize(("encoding", "subtype"), [(Encoding.MULAW, "ULAW"), (Encoding.ALAW, "ALAW")])
def test_g711_is_that_of_libsndfile(encoding: Encoding, subtype: str, tmp_path: object) -> None:
    every = bytes(range(256))
    path = f"{tmp_path}/every.raw"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(every)
    expected, _ = soundfile.read(path, channels=1, samplerate=8000, subtype=subtype, format="RAW", dtype="float32")
    found = AudioDecoder(AudioFormat(encoding, 8000)).decode(every)
    np.testing.assert_array_equal(found[:, 0], expected)


@given(
    encoding=st.sampled_from([Encoding.PCM_S16LE, Encoding.PCM_S32LE, Encoding.MULAW, Encoding.ALAW]),
    channels=st.integers(1, 4),
    data=st.binary(max_size=200),
    places=st.lists(st.integers(0, 200), max_size=6),
)
def test_it_does_not_matter_where_messages_break(
    encoding: Encoding, channels: int, data: bytes, places: list[int]
) -> None:
    form = AudioFormat(encoding, 16_000, channels)
    ends = sorted(min(place, len(data)) for place in places)
    pieces = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    decoder = AudioDecoder(form)
    found = np.concatenate([decoder.decode(piece) for piece in pieces])
    np.testing.assert_array_equal(found, AudioDecoder(form).decode(data))
    assert found.shape == (len(data) // form.bytes_per_frame, channels)


@pytest.mark.parametrize("fields", [{"sample_rate": 0}, {"channels": 0}, {"channels": 17}, {"sample_rate": 44_100.5}])
def test_formats_that_make_no_sense(fields: dict[str, int]) -> None:
    with pytest.raises(AudioError):
        AudioFormat(**fields)  # type: ignore[arg-type]
