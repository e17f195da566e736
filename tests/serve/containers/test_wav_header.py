"""Headers of WAV files, as libsndfile writes them."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emf.runtime.errors import AudioError
from emf.serve.containers.wav_header import is_wav, read_wav_header
from emf.serve.session.audio_decoder import AudioDecoder
from emf.serve.session.audio_format import AudioFormat, Encoding

SUBTYPES = {
    "PCM_16": Encoding.PCM_S16LE,
    "PCM_32": Encoding.PCM_S32LE,
    "FLOAT": Encoding.PCM_F32LE,
    "ULAW": Encoding.MULAW,
    "ALAW": Encoding.ALAW,
    "PCM_24": None,
    "PCM_U8": None,
}


def written(subtype: str, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.9, 0.9, 50)[:, None].repeat(2, 1), 22_050, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_headers(subtype: str, form: str) -> None:
    data = written(subtype, form)
    assert is_wav(data[:12])
    header = read_wav_header(data)
    assert header is not None
    assert (header.encoding, header.sample_rate, header.channels) == (SUBTYPES[subtype], 22_050, 2)
    if header.encoding is not None:
        expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        assert header.audio_length is not None
        audio = data[header.length : header.length + header.audio_length]
        found = AudioDecoder(AudioFormat(header.encoding, 22_050, 2)).decode(audio)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for length in range(12, header.length):
        assert read_wav_header(data[:length]) is None


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_was_not_known(size: int) -> None:
    data = bytearray(written("PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = size.to_bytes(4, "little")
    header = read_wav_header(bytes(data))
    assert header is not None
    assert header.audio_length is None


@given(st.binary(max_size=200))
def test_what_is_no_header(rest: bytes) -> None:
    try:
        header = read_wav_header(b"RIFF\0\0\0\0WAVE" + rest)
    except AudioError:
        return
    assert header is None or header.length <= 12 + len(rest)
