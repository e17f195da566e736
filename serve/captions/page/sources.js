// Where audio comes from. A source has `sampleRate`, `run(take)`, which ends with the audio, and `stop()`.

const FILE_RATE = 16_000;
const PIECE_SECONDS = 0.1;
const MOST_WAITING_SECONDS = 20;

export class Microphone {
  static async open() {
    if (!navigator.mediaDevices) throw new Error("The browser gives pages a microphone over https or on localhost only.");
    const source = new Microphone();
    source.stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false },
    });
    source.context = new AudioContext();
    await source.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    source.sampleRate = source.context.sampleRate;
    return source;
  }

  async run(take) {
    const capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    this.capture = capture;
    const ended = new Promise((resolve) => {
      capture.port.onmessage = ({ data }) => (data ? take(data) : resolve());
    });
    for (const track of this.stream.getTracks()) track.onended = () => this.stop();
    this.context.createMediaStreamSource(this.stream).connect(capture);
    await this.context.resume();
    await ended;
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
  }

  stop() {
    this.capture?.port.postMessage("stop");
  }
}

export class Recording {
  static async open(file, realTime) {
    const source = new Recording();
    const decoder = new OfflineAudioContext(1, 1, FILE_RATE);
    try {
      source.buffer = await decoder.decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Error(`${file.name} is no audio that this browser can decode.`);
    }
    source.realTime = realTime;
    source.sampleRate = FILE_RATE;
    source.stopped = false;
    return source;
  }

  // `session` tells when there is room for more.
  async run(take, session) {
    const samples = mixed(this.buffer);
    const step = PIECE_SECONDS * FILE_RATE;
    if (this.realTime) await this.#play();
    const begin = performance.now();
    for (let at = 0; at < samples.length && !this.stopped && !session.over; at += step) {
      const piece = samples.subarray(at, at + step);
      if (this.realTime) await until(begin + (1000 * (at + piece.length)) / FILE_RATE);
      await session.roomFor(MOST_WAITING_SECONDS);
      take(piece);
    }
    await this.context?.close();
  }

  stop() {
    this.stopped = true;
  }

  async #play() {
    this.context = new AudioContext();
    const player = this.context.createBufferSource();
    player.buffer = this.buffer;
    player.connect(this.context.destination);
    await this.context.resume();
    player.start();
  }
}

function mixed(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, number) => buffer.getChannelData(number));
  return Int16Array.from({ length: buffer.length }, (_, at) => {
    const sum = channels.reduce((total, channel) => total + channel[at], 0);
    return Math.max(-32768, Math.min(32767, Math.round((32768 * sum) / channels.length)));
  });
}

function until(time) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(time - performance.now(), 0)));
}
