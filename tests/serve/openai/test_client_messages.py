"""Whatever a realtime client sends is a message or a `BadMessage`, and settings that were taken can be used."""

from hypothesis import given, settings
from hypothesis import strategies as st

from emf.serve.openai import server_messages
from emf.serve.openai.client_messages import BadMessage, BetaSessionUpdate, SessionUpdate, decode
from emf.serve.openai.session_config import SessionConfig
from emf.serve.openai.session_messages import audio_format

SENSIBLE = (
    '{"type":"session.update","event_id":"e","session":{"type":"transcription","include":["x"],"audio":{"input":{'
    '"format":{"type":"audio/pcm","rate":24000},"noise_reduction":{"type":"near_field"},"transcription":{"model":"x",'
    '"keywords":["a"],"prompt":"p"},"turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,'
    '"silence_duration_ms":500}}}}}',
    '{"type":"transcription_session.update","session":{"input_audio_format":"g711_ulaw","turn_detection":'
    '{"type":"semantic_vad","eagerness":"low"},"input_audio_transcription":{"model":"x"}}}',
    '{"type":"input_audio_buffer.append","audio":"AAAA"}',
)
PIECES = st.sampled_from(["null", "[]", "{}", '""', "1e999", "-1", "NaN", "[" * 5_000, '"\\ud800"', "\0"]) | st.text()


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A message with pieces of it replaced."""
    text = draw(st.sampled_from(SENSIBLE))
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(text)))
        text = text[:begin] + draw(PIECES) + text[begin + draw(st.integers(0, 8)) :]
    return text


@settings(max_examples=300)
@given(spoiled() | st.text() | st.binary())
def test_messages(received: str | bytes) -> None:
    try:
        message = decode(received)
    except BadMessage as bad:
        assert str(bad)
        return
    if isinstance(message, SessionUpdate | BetaSessionUpdate):
        config = SessionConfig("sess_1", 0).updated(message.session)
        assert config.wishes.phrases is None or config.wishes.phrases
        assert audio_format(config.form).sample_rate
        assert server_messages.encode(server_messages.SessionUpdated("e", config.as_session()))
        assert server_messages.encode(server_messages.BetaSessionUpdated("e", config.as_beta_session()))
