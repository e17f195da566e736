"""The recognizer: an artifact opened in an engine, and the loop that turns streams into text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emf.runtime.artifact.manifest_file import read_manifest
from emf.runtime.artifact.tokens import TokenTable, load_tokens
from emf.runtime.errors import UsageError
from emf.runtime.guidance.biasing import Biasing
from emf.runtime.guidance.fusion import Fusion, LanguageModel
from emf.runtime.inference.instrument import Instrument
from emf.runtime.inference.session import PARALLEL_BACKENDS
from emf.runtime.inference.threads import resolve_num_threads
from emf.runtime.inference.transducer import Transducer, open_transducer
from emf.runtime.recognition.batch_step import begin_step
from emf.runtime.recognition.endpoint import EndpointRules
from emf.runtime.recognition.result import Alternative, Result
from emf.runtime.recognition.snapshot import restore_snapshot
from emf.runtime.recognition.stream import Stream
from emf.runtime.recognition.stream_settings import StreamSettings, stream_settings
from emf.runtime.recognition.thread_crew import ThreadCrew
from emf.runtime.recognition.transcript import Spelling
from emf.runtime.search.beam import BEAM_LENGTH_OFFSET, beam_search
from emf.runtime.search.greedy import greedy_search
from emf.runtime.search.hypothesis import Hypothesis, SearchMethod, SearchOptions, end_words
from emf.runtime.search.modified_beam import MODIFIED_BEAM_LENGTH_OFFSET, modified_beam_search
from emf.runtime.search.run import initial_search_state

SEARCH_METHODS: dict[str, SearchMethod] = {
    "greedy": greedy_search,
    "beam": beam_search,
    "modified_beam": modified_beam_search,
}
_LENGTH_OFFSETS: dict[SearchMethod, int] = {
    beam_search: BEAM_LENGTH_OFFSET,
    modified_beam_search: MODIFIED_BEAM_LENGTH_OFFSET,
}
_WARM_UP_STEPS = 3


class Recognizer:
    """Speech to text with one variant of an artifact. Safe to share between threads."""

    def __init__(
        self,
        transducer: Transducer,
        tokens: TokenTable,
        settings: StreamSettings,
        method: SearchMethod,
        options: SearchOptions,
        endpoint: EndpointRules | None = None,
        biasing: Biasing | None = None,
        language_model: LanguageModel | None = None,
        crew: ThreadCrew | None = None,
    ) -> None:
        """Put the parts together; `Recognizer.load` is the usual way."""
        self.transducer = transducer
        self.tokens = tokens
        self.settings = settings
        self.options = options
        self.endpoint = endpoint
        self._method = method
        self._crew = crew
        self._biasing = biasing
        self._fusion = self._fuse(language_model)
        self.sample_rate = settings.sample_rate
        self.seconds_per_frame = transducer.manifest.seconds_per_frame
        self._spelling = Spelling(tokens, self.seconds_per_frame, transducer.manifest.confidence)
        blank_id, lstm_state = transducer.blank_id, transducer.initial_predictor_state()
        self._start = initial_search_state(transducer, blank_id, lstm_state)

    @classmethod
    def load(
        cls,
        artifact: str | Path,
        *,
        backend: str | None = None,
        precision: str | None = None,
        decoding_method: str = "beam",
        beam_width: int = 10,
        beam_threshold: float = math.inf,
        frontend: str | None = None,
        num_threads: int | None = None,
        temperature: float = 1.0,
        blank_penalty: float | None = None,
        step_max_tokens: int = 100,
        tail_padding: float | None = None,
        phrases: Mapping[str, float] | None = None,
        language_model: LanguageModel | None = None,
        stable_delay: float | None = None,
        endpoint: EndpointRules | None = None,
        cache_dir: str | Path | None = None,
        instrument: Instrument | None = None,
    ) -> "Recognizer":
        """Open an artifact.

        Args:
            artifact: folder that emf-export wrote.
            backend: `onnxruntime` or `openvino`; `None` takes the artifact's first.
            precision: variant, such as `int8`; `None` takes `fp32`.
            decoding_method: `greedy`, `beam` or `modified_beam`.
            beam_width: hypotheses kept by the beam searches.
            beam_threshold: hypotheses whose score lies further below the best one's are dropped, natural logarithm; by
                default none, as torchaudio does.
            frontend: `windowed` or `continuous`; `None` takes the artifact's default.
            num_threads: threads of the engine; `None` takes the processors this process may use.
            temperature: divides the joiner's logits.
            blank_penalty: subtracted from the blank's logit; `None` takes the variant's own, mostly 0.
            step_max_tokens: tokens at one frame at the most.
            tail_padding: seconds of silence appended at the end; `None` takes the frontend's default.
            phrases: phrases that are likelier here, each with the natural logarithm it adds to a transcript.
            language_model: words that are likelier after others; not for greedy search, which has no choice.
            stable_delay: seconds after which hypotheses that still dispute a token of the best one are
                dropped, which bounds the delay of `Result.stable_text`; `None` never drops any.
            endpoint: rules for `is_endpoint`; `None` finds no endpoints.
            cache_dir: where OpenVINO keeps compiled graphs, so that it opens them quickly the next time; a folder
                that only those whom you trust can write to. `None` keeps none.
            instrument: looks in from one thread, such as `ComponentTimes`, which adds up where the time goes.

        Raises:
            ArtifactNotFound, ArtifactError: the artifact is missing, damaged or of another schema.
            MissingDependency: the engine is not installed.
            UsageError: an option makes no sense.
        """
        manifest = read_manifest(artifact)
        chosen_backend, variant = backend or manifest.backends[0], precision or "fp32"
        if blank_penalty is None:
            blank_penalty = manifest.blank_penalties.get(f"{chosen_backend}/{variant}", 0.0)
        options = SearchOptions(beam_width, step_max_tokens, temperature, blank_penalty, beam_threshold)
        if decoding_method not in SEARCH_METHODS:
            raise UsageError(f"expected a decoding method of {', '.join(SEARCH_METHODS)}, found {decoding_method!r}")
        settings = stream_settings(manifest, variant, frontend, tail_padding, stable_delay, instrument)
        threads = resolve_num_threads(num_threads)
        cache = None if cache_dir is None else Path(cache_dir)
        width = 1 if decoding_method == "greedy" else beam_width
        open_model = partial(open_transducer, manifest, chosen_backend, variant, cache_dir=cache, beam_width=width)
        crew = None
        if chosen_backend in PARALLEL_BACKENDS and threads > 1 and instrument is None:
            crew = ThreadCrew(threads, partial(open_model, num_threads=1))
        tokens = load_tokens(manifest)
        biasing = Biasing(phrases, tokens) if phrases else None
        method = SEARCH_METHODS[decoding_method]
        transducer = open_model(num_threads=threads, instrument=instrument)
        return cls(transducer, tokens, settings, method, options, endpoint, biasing, language_model, crew)

    def create_stream(
        self, phrases: Mapping[str, float] | None = None, language_model: LanguageModel | None = None
    ) -> Stream:
        """A new stream; `phrases` and `language_model`, where given, replace the recognizer's for it.

        Raises:
            UsageError: a phrase cannot be written with the model's pieces, or the language model is of no use.
        """
        biasing = self._biasing if phrases is None else Biasing(phrases, self.tokens)
        fusion = self._fusion if language_model is None else self._fuse(language_model)
        start = replace(self._start, biasing=biasing, fusion=fusion)
        return Stream(self.settings, self.transducer.initial_encoder_state(), start)

    def _fuse(self, language_model: LanguageModel | None) -> Fusion | None:
        if language_model is None:
            return None
        if self._method not in _LENGTH_OFFSETS:
            raise UsageError(
                "expected a beam search with a language model, found greedy search, which keeps one hypothesis and "
                "has no choice; take decoding method beam or modified_beam"
            )
        return Fusion(language_model, self.tokens)

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
        identity = dict(self.settings.identity)
        if allow_other_precision:
            del identity["precision"]
        stream = self.create_stream(language_model=language_model)
        restore_snapshot(stream, blob, identity, self.tokens)
        return stream

    def warm_up(self, num_streams: int) -> None:
        """Prepare for batches of up to `num_streams`, so that none of them waits for what an engine does only once.

        OpenVINO compiles its graphs for more sizes of batch; ONNX Runtime opens them again for a crew of threads, and
        finds the memory that its operators need. It takes some seconds for the base model.
        """
        if self._crew is None or not self._crew.is_worth(num_streams):
            self.transducer.warm_up(num_streams, self.options.beam_width)
        end_sample = self.settings.extractor.end_sample
        noise = np.random.default_rng(0).normal(0.0, 0.05, end_sample(_WARM_UP_STEPS - 1))
        streams = [self.create_stream() for _ in range(num_streams)]
        for stream in streams:
            stream.accept_waveform(self.sample_rate, noise)
        for _ in range(_WARM_UP_STEPS):
            self.decode_streams(streams)

    def is_ready(self, stream: Stream) -> bool:
        """Whether `decode_streams` has something to do for this stream."""
        return stream.is_ready

    def decode_streams(self, streams: Sequence[Stream]) -> None:
        """Decode one segment of each ready stream, as one batch or one a thread; the others stay as they are.

        An error leaves every stream as it was.
        """
        ready = [stream for stream in dict.fromkeys(streams) if stream.is_ready]
        if not ready:
            return
        if self._crew is None or not self._crew.is_worth(len(ready)):
            begin_step(self.transducer, self._method, self.options, ready)()
            return
        decode = partial(begin_step, self._crew.transducer, self._method, self.options)
        commits = self._crew.run(decode, self._crew.groups(ready))
        self._crew.run(lambda commit: commit(), commits)

    def get_result(self, stream: Stream) -> Result:
        """What the stream's current segment says so far."""
        is_final = stream.is_final  # once, and first: another thread may just be ending the stream's input
        hypotheses = self._hypotheses(stream, is_final)
        best = hypotheses[0]
        committed = stream.committed(self._spelling)
        whole = committed.extended(self._spelling, best.tokens, best.timestamps, best.log_probs)
        return Result(
            text=whole.text,
            token_ids=whole.token_ids,
            tokens=whole.tokens,
            timestamps=whole.timestamps,
            log_probs=whole.log_probs,
            words=whole.words(self._spelling),
            score=best.score,
            is_final=is_final,
            stable_text=whole.text if is_final else committed.text,
            segment=stream.segment,
            start_time=stream.segment_start_frame * self.seconds_per_frame,
            nbest=tuple(Alternative(self.tokens.continued(committed.text, h.tokens), h.score) for h in hypotheses),
        )

    def _hypotheses(self, stream: Stream, is_final: bool) -> tuple[Hypothesis, ...]:
        """The beam, best first; when all audio is decoded, its last words count."""
        state = stream.search_state
        if is_final and state.fusion is not None:
            state = end_words(state, _LENGTH_OFFSETS[self._method])
        return state.hypotheses

    def is_endpoint(self, stream: Stream) -> bool:
        """Whether the segment has ended by the recognizer's `EndpointRules`; call `reset` to begin the next."""
        if self.endpoint is None:
            return False
        state = stream.search_state
        best = state.hypotheses[0]
        emitted = best.timestamps or stream.timestamps
        if any(h.tokens != best.tokens for h in state.hypotheses):
            return False
        now, start = state.num_frames, stream.segment_start_frame
        return self.endpoint.ends(
            has_speech=bool(emitted),
            silence=(now - (emitted[-1] + 1 if emitted else start)) * self.seconds_per_frame,
            length=(now - start) * self.seconds_per_frame,
        )

    def reset(self, stream: Stream) -> None:
        """Commit the stream's text and begin a new segment; its audio and state carry on.

        At an endpoint this changes nothing of the text to come; elsewhere, hypotheses that disagree
        with the text committed are dropped.
        """
        stream.begin_segment()

    def transcribe(self, samples: npt.ArrayLike, sample_rate: int) -> Result:
        """Text of a whole recording: the streaming loop, run to its end.

        Args:
            samples: shape (n,) or (n, channels), float in [-1, 1], int16 or int32.
            sample_rate: in Hz.
        """
        stream = self.create_stream()
        stream.accept_waveform(sample_rate, samples)
        stream.input_finished()
        while self.is_ready(stream):
            self.decode_streams([stream])
        return self.get_result(stream)
