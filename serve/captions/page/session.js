// A session of the server's own protocol. It comes back by itself when its connection breaks.

import { UnkeptAudio } from "./unkept.js";

const PATIENCE_MS = 20_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class Session {
  // `on` has functions: result(message, age in ms or null), state("connected" | "lost"), done(), failed(message).
  constructor(sampleRate, key, on) {
    this.on = on;
    this.key = key;
    this.audio = new UnkeptAudio(sampleRate);
    this.finals = 0;
    this.heard = {};
    this.token = null;
    this.finished = this.over = false;
    this.pause = FIRST_PAUSE_MS;
    this.waiting = [];
    this.#connect();
  }

  // Add 16-bit samples.
  send(samples) {
    if (this.over) return;
    this.audio.add(samples);
    if (this.#isOpen) this.socket.send(samples);
  }

  // Wait until less than so many seconds of audio wait to be decoded, or the session is over.
  async roomFor(seconds) {
    while (this.audio.seconds > seconds && !this.over) await new Promise((resolve) => this.waiting.push(resolve));
  }

  // The audio is complete.
  finish() {
    this.finished = true;
    if (this.#isOpen) this.socket.send('{"type":"finish"}');
  }

  get #isOpen() {
    return this.ready && this.socket.readyState === WebSocket.OPEN;
  }

  #connect() {
    const url = new URL("emf/v1/stream", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const asSubprotocol = this.key && TOKEN.test(this.key);
    if (this.key && !asSubprotocol) url.searchParams.set("api_key", this.key);
    const socket = asSubprotocol ? new WebSocket(url, ["bearer", this.key]) : new WebSocket(url);
    this.socket = socket;
    this.ready = false;
    socket.onopen = () => {
      const again = this.token ? { resume: this.token, have: this.finals, heard: this.heard } : {};
      const start = { type: "start", sample_rate: this.audio.sampleRate, encoding: "pcm_s16le", ...again };
      socket.send(JSON.stringify(start));
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = () => this.#closed();
  }

  #take(message) {
    switch (message.type) {
      case "started":
        this.#goOn(message);
        break;
      case "result":
        this.finals += message.is_final;
        if (message.is_final) this.heard[message.channel] = message.segment;
        this.on.result(message, this.audio.ageOf(message.end));
        break;
      case "kept":
        this.audio.keep(message.samples);
        this.#wake();
        break;
      case "done":
        this.#end(() => this.on.done());
        break;
      case "error":
        if (message.code !== "bad_message") this.#end(() => this.on.failed(message.message));
        break;
    }
  }

  #goOn(started) {
    this.token = started.resume;
    this.pause = FIRST_PAUSE_MS;
    this.lostAt = null;
    const pieces = this.audio.from(started.audio_from);
    if (!pieces) {
      this.#end(() => this.on.failed("The connection broke, and audio was lost. Start again."));
      return;
    }
    this.ready = true;
    this.on.state("connected");
    for (const piece of pieces) if (this.#isOpen) this.socket.send(piece);
    if (this.finished) this.finish();
  }

  #closed() {
    this.ready = false;
    if (this.over) return;
    this.lostAt ??= performance.now();
    if (!this.token || performance.now() - this.lostAt > PATIENCE_MS) {
      this.#end(async () => this.on.failed(await explain(this.key)));
      return;
    }
    this.on.state("lost");
    setTimeout(() => this.#connect(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }

  #end(tell) {
    this.over = true;
    this.ready = false;
    this.socket.close();
    this.#wake();
    tell();
  }

  #wake() {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

// A browser does not say why a connection was refused.
async function explain(key) {
  try {
    const answer = await fetch(new URL("health/ready", document.baseURI));
    if (answer.ok) {
      return key ? "The server refused the key." : "The server refused. If it needs a key, enter it under Settings.";
    }
    const { status } = await answer.json();
    return status === "full" ? "The server is full. Try again later." : "The server is about to end. Try again later.";
  } catch {
    return "The server cannot be reached.";
  }
}
