// Audio that the server may ask for again, and when each part of it was recorded.

export class UnkeptAudio {
  end = 0;
  #pieces = [];
  #times = [];

  constructor(sampleRate) {
    this.sampleRate = sampleRate;
  }

  // Append samples that ended now.
  add(samples) {
    this.#pieces.push({ start: this.end, samples });
    this.end += samples.length;
    this.#times.push({ end: this.end, time: performance.now() });
  }

  get seconds() {
    return this.#pieces.length ? (this.end - this.#pieces[0].start) / this.sampleRate : 0;
  }

  // Forget what lies before a sample.
  keep(sample) {
    while (this.#pieces.length && this.#pieces[0].start + this.#pieces[0].samples.length <= sample) {
      this.#pieces.shift();
    }
  }

  // All pieces from a sample on; null where they are forgotten.
  from(sample) {
    const first = this.#pieces[0]?.start ?? this.end;
    if (sample < first || sample > this.end) return null;
    return this.#pieces
      .filter((piece) => piece.start + piece.samples.length > sample)
      .map((piece) => piece.samples.subarray(Math.max(sample - piece.start, 0)));
  }

  // Milliseconds since the audio at this place, in seconds, was recorded; null where nobody knows any more.
  ageOf(seconds) {
    const sample = Math.min(Math.round(seconds * this.sampleRate), this.end);
    while (this.#times.length && this.#times[0].end < sample) this.#times.shift();
    return this.#times.length ? performance.now() - this.#times[0].time : null;
  }
}
