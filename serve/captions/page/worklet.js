// Runs in the audio thread: gathers blocks of samples, mixes their channels, and posts them as 16-bit PCM.

const PIECES_PER_SECOND = 20;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(Math.round(sampleRate / PIECES_PER_SECOND));
    this.filled = 0;
    this.running = true;
    this.port.onmessage = () => {
      this.post();
      this.running = false;
      this.port.postMessage(null);
    };
  }

  process([channels]) {
    const length = this.running && channels.length ? channels[0].length : 0;
    for (let at = 0; at < length; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      const value = Math.round((32768 * sum) / channels.length);
      this.piece[this.filled++] = Math.max(-32768, Math.min(32767, value));
      if (this.filled === this.piece.length) this.post();
    }
    return this.running;
  }

  post() {
    if (this.filled) this.port.postMessage(this.piece.slice(0, this.filled));
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
