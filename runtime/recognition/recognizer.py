"""The recognizer: an artifact opened in a backend, and the loop that turns streams into text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from types import NoneType

import numpy as np
import numpy.typing as npt

from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.tokens import TokenTable, load_tokens
from emf.runtime.errors import require
from emf.runtime.guidance.fusion import LanguageModel
from emf.runtime.guidance.guidance import Guidance
from emf.runtime.guidance.preparation import Preparation
from emf.runtime.inference.instrument import Instrument
from emf.runtime.inference.transducer import Transducer
from emf.runtime.recognition.batch_step import DecodedStep, decode_step
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.options import RecognizerOptions
from emf.runtime.recognition.reading import read_result
from emf.runtime.recognition.result import Result
from emf.runtime.recognition.snapshot import restore_snapshot
from emf.runtime.recognition.stream import Stream, require_stream
from emf.runtime.recognition.stream_settings import StreamSettings, stream_settings
from emf.runtime.recognition.stream_state import StreamState
from emf.runtime.recognition.thread_crew import ThreadCrew, open_with_crew
from emf.runtime.recognition.transcript import Spelling, Transcript
from emf.runtime.search.hypothesis import SearchState
from emf.runtime.search.methods import check_guidance, end_words
from emf.runtime.search.options import SearchOptions
from emf.runtime.search.run import initial_search_state

_WARM_UP_STEPS = 3
_DEFAULTS = RecognizerOptions()


class Recognizer:
    """Speech to text with one variant of an artifact. Safe to share between threads."""

    def __init__(
        self,
        transducer: Transducer,
        tokens: TokenTable,
        settings: StreamSettings,
        options: SearchOptions,
        endpoint: EndpointRules | None = None,
        crew: ThreadCrew | None = None,
    ) -> None:
        """Put the parts together; `Recognizer.load` is the usual way."""
        self.transducer = transducer
        self.tokens = tokens
        self.settings = settings
        self.options = options
        self.endpoint = endpoint
        self.sample_rate = settings.sample_rate
        self.seconds_per_frame = transducer.manifest.seconds_per_frame
        self._crew = crew
        self._preparation = Preparation(tokens)
        self._spelling = Spelling(tokens, self.seconds_per_frame, transducer.manifest.confidence)
        lstm_state = transducer.initial_predictor_state()
        self._start = initial_search_state(transducer, transducer.blank_id, lstm_state)

    @classmethod
    def load(
        cls,
        artifact: str | Path,
        *,
        backend: str | None = _DEFAULTS.backend,
        precision: str | None = _DEFAULTS.precision,
        decoding_method: str = _DEFAULTS.decoding_method,
        beam_width: int = _DEFAULTS.beam_width,
        beam_threshold: float = _DEFAULTS.beam_threshold,
        temperature: float = _DEFAULTS.temperature,
        blank_penalty: float | None = _DEFAULTS.blank_penalty,
        step_max_tokens: int = _DEFAULTS.step_max_tokens,
        stable_delay: float | None = _DEFAULTS.stable_delay,
        frontend: str | None = _DEFAULTS.frontend,
        tail_padding: float | None = _DEFAULTS.tail_padding,
        catch_up: bool = _DEFAULTS.catch_up,
        num_threads: int | None = _DEFAULTS.num_threads,
        cache_dir: str | Path | None = _DEFAULTS.cache_dir,
        phrases: Mapping[str, float] | None = None,
        language_model: LanguageModel | None = None,
        endpoint: EndpointRules | None = None,
        instrument: Instrument | None = None,
    ) -> "Recognizer":
        """Open an artifact.

        The keywords from `backend` to `cache_dir` are the fields of `RecognizerOptions`, whose help explains them.

        Args:
            artifact: folder that emf-export wrote.
            phrases: phrases that are likelier here, each with the natural logarithm it adds to a transcript.
            language_model: words that are likelier after others; not for greedy search, which has no choice.
            endpoint: rules for `is_endpoint`; `None` finds no endpoints.
            instrument: sees every call of the recognizer's parts, from one thread.

        Raises:
            ArtifactNotFound, ArtifactError: the artifact is missing, damaged or of another schema.
            MissingDependency: the backend is not installed.
            UsageError: an option makes no sense.
        """
        options = RecognizerOptions(
            backend=backend,
            precision=precision,
            decoding_method=decoding_method,
            beam_width=beam_width,
            beam_threshold=beam_threshold,
            temperature=temperature,
            blank_penalty=blank_penalty,
            step_max_tokens=step_max_tokens,
            stable_delay=stable_delay,
            frontend=frontend,
            tail_padding=tail_padding,
            catch_up=catch_up,
            num_threads=num_threads,
            cache_dir=cache_dir,
        )
        return cls.open(
            artifact,
            options,
            phrases=phrases,
            language_model=language_model,
            endpoint=endpoint,
            instrument=instrument,
        )

    @classmethod
    def open(
        cls,
        artifact: str | Path,
        options: RecognizerOptions = _DEFAULTS,
        *,
        phrases: Mapping[str, float] | None = None,
        language_model: LanguageModel | None = None,
        endpoint: EndpointRules | None = None,
        instrument: Instrument | None = None,
    ) -> "Recognizer":
        """As `load`, with the options as one value."""
        require(endpoint, (EndpointRules, NoneType), "EndpointRules for endpoints")
        manifest = read_manifest(artifact)
        settings = stream_settings(manifest, options, instrument)
        tokens = load_tokens(manifest)
        transducer, crew = open_with_crew(manifest, options, instrument)
        recognizer = cls(transducer, tokens, settings, options.search_options(manifest), endpoint, crew)
        recognizer._start = recognizer._guided(phrases, language_model)
        return recognizer

    def _guided(self, phrases: Mapping[str, float] | None, language_model: LanguageModel | None) -> SearchState:
        """The search of a stream that begins; `None` leaves the guidance as it is."""
        known = self._start.guidance
        biasing = known.biasing if phrases is None else self._preparation.biasing(phrases)
        fusion = known.fusion if language_model is None else self._preparation.fusion(language_model)
        state = self._start.guided_by(Guidance(biasing, fusion))
        check_guidance(state, self.options)
        return state

    def create_stream(
        self,
        phrases: Mapping[str, float] | None = None,
        language_model: LanguageModel | None = None,
        endpoint: EndpointRules | None = None,
        recording: bool = False,
    ) -> Stream:
        """A new stream; `phrases`, `language_model` and `endpoint`, where given, replace the recognizer's for it.

        The stream of a `recording`, whose audio comes as fast as it is read, is ready once there is audio for several
        segments, which the encoder takes in one pass. It does so, too, where the input is finished before anything is
        decoded.

        Raises:
            UsageError: a phrase cannot be written with the model's pieces, or the language model is of no use.
        """
        search = self._guided(phrases, language_model)
        state = StreamState(self.transducer.initial_encoder_state(), search, in_passes=recording)
        return Stream(self.settings, state, endpoint)

    def restore_stream(
        self, blob: bytes, allow_other_precision: bool = False, language_model: LanguageModel | None = None
    ) -> Stream:
        """A stream that goes on where `Stream.snapshot` was taken, here or in another process.

        Args:
            blob: the snapshot's bytes.
            allow_other_precision: also take a snapshot of another precision of the same model.
            language_model: that of the stream, if it was not the recognizer's; its weights are in the snapshot.

        Raises:
            SnapshotError: the bytes are damaged, foreign, or of another model, precision, frontend or
                language model.
        """
        require(blob, (bytes, bytearray, memoryview), "the bytes of a snapshot")
        identity = dict(self.settings.identity)
        if allow_other_precision:
            del identity["precision"]
        start = self.create_stream(language_model=language_model).state
        return Stream(self.settings, restore_snapshot(blob, self.settings, identity, start, self._preparation))

    def warm_up(self, num_streams: int) -> None:
        """Prepare for batches of up to `num_streams`, so that none of them waits for what happens only once.

        OpenVINO compiles its graphs for more sizes of batch; ONNX Runtime opens them again for a crew of threads, and
        finds the memory that its operators need. It takes some seconds for the base model.
        """
        require(num_streams, Integral, "a number of streams")
        if self._crew_for(num_streams) is None:
            self.transducer.warm_up(num_streams, self.options.beam_width)
        length = self.settings.extractor.end_sample(_WARM_UP_STEPS - 1)
        noise = np.random.default_rng(0).normal(0.0, 0.05, length)
        streams = [self.create_stream() for _ in range(num_streams)]
        for stream in streams:
            stream.accept_waveform(self.sample_rate, noise)
        for _ in range(_WARM_UP_STEPS):
            self.decode_streams(streams)

    def is_ready(self, stream: Stream) -> bool:
        """Whether `decode_streams` has something to do for this stream."""
        require_stream(stream)
        return stream.is_ready

    @property
    def callers_at_once(self) -> int:
        """How many threads decode beside each other by `decode_streams` with `alone`."""
        return self._crew.num_threads if self._crew else 1

    def decode_streams(self, streams: Sequence[Stream], alone: bool = False) -> None:
        """Decode one segment of each ready stream, as one batch or one a thread; the others stay as they are.

        An error leaves every stream as it was. `alone` keeps to the caller's thread where the backend can.
        """
        require(streams, Iterable, "a list of streams")
        ready = list(dict.fromkeys(stream for stream in streams if self.is_ready(stream)))
        if not ready:
            return
        crew = self._crew if alone else self._crew_for(len(ready))
        if crew is None or alone:
            decode_step(self.transducer if crew is None else crew.transducer, self.options, ready).commit()
            return
        decode = partial(decode_step, crew.transducer, self.options)
        crew.run(DecodedStep.commit, crew.run(decode, crew.groups(ready)))

    def _crew_for(self, num_streams: int) -> ThreadCrew | None:
        """The crew of threads, if there is one and so many streams are decoded sooner by it."""
        return self._crew if self._crew is not None and self._crew.is_worth(num_streams) else None

    def get_result(self, stream: Stream) -> Result:
        """What the stream's current segment says so far."""
        require_stream(stream)
        return read_result(stream, self._spelling, self.options, self.is_endpoint(stream))

    def is_endpoint(self, stream: Stream) -> bool:
        """Whether the segment has ended by the recognizer's `EndpointRules`; call `reset` to begin the next.

        Without `reset`, decoding goes on as without rules.
        """
        require_stream(stream)
        if (endpoint := stream.endpoint or self.endpoint) is None:
            return False
        heard = replace(stream.state, search=end_words(stream.state.search, self.options))
        return endpoint.end_segment(heard, self.seconds_per_frame)

    def reset(self, stream: Stream) -> Result:
        """End the stream's segment with its text so far, and begin a new one; audio and encoder carry on.

        Hypotheses that begin with that text go on with the tokens they emitted behind it in this segment: a word
        that is still open to dispute may come in the next. Hypotheses that contradict the text are dropped, and so
        are those that add a token from before this segment. The segments together say what the stream says
        without `reset`, unless a dropped hypothesis would have mattered. Where none is dropped, as in greedy
        search, nothing of what follows changes.

        Returns:
            The segment that ended, as `get_result` told it, with `ends_segment`; all of its text is stable, and it is
            never final.
        """
        ended = self.get_result(stream)
        stream.state.begin_segment(ended.token_ids)
        stream.transcript = Transcript()
        return replace(ended, stable_text=ended.text, is_final=False, ends_segment=True)

    def transcribe(self, samples: npt.ArrayLike, sample_rate: int) -> Result:
        """Text of a whole recording: the streaming loop, run to its end.

        Args:
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.
            sample_rate: in Hz.
        """
        stream = self.create_stream()
        stream.accept_waveform(sample_rate, samples)
        stream.input_finished()
        self.decode_ready([stream])
        return self.get_result(stream)

    def decode_ready(self, streams: Sequence[Stream]) -> None:
        """Decode all segments whose audio is there."""
        while any(stream.is_ready for stream in streams):
            self.decode_streams(streams)
