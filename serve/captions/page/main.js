// Ties the buttons to a source, a session and what is seen.

import { Session } from "./session.js";
import { Microphone, Recording } from "./sources.js";
import { Transcript } from "./transcript.js";
import { CaptionsView } from "./view.js";

const TYPES = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt" };
const PAUSED_NAMES = { NotAllowedError: "The microphone was not allowed.", NotFoundError: "There is no microphone." };

const find = (id) => document.getElementById(id);
const buttons = { microphone: find("microphone"), open: find("open"), stop: find("stop") };
const downloads = [...document.querySelectorAll(".download")];
const view = new CaptionsView(find("captions"));
let transcript = new Transcript();
let source = null;

function tell(text, failed = false) {
  find("status").textContent = text;
  find("status").classList.toggle("failed", failed);
}

function setRunning(running) {
  const focused = document.activeElement;
  buttons.microphone.disabled = buttons.open.disabled = running;
  buttons.stop.disabled = !running;
  if (running && (focused === buttons.microphone || focused === buttons.open)) buttons.stop.focus();
  if (!running && focused === buttons.stop) buttons.microphone.focus();
}

async function listen(open) {
  setRunning(true);
  tell("Opening…");
  try {
    source = await open();
  } catch (error) {
    tell(PAUSED_NAMES[error.name] ?? error.message, true);
    setRunning(false);
    return;
  }
  transcript = new Transcript();
  view.clear();
  find("latency").textContent = "";
  for (const button of downloads) button.disabled = true;
  const session = new Session(source.sampleRate, find("key").value.trim(), {
    result: (message, age) => show(message, age, session),
    state: (state) => tell(state === "connected" ? "Listening." : "The connection broke; trying again…"),
    done: () => end("Done."),
    failed: (message) => end(message, true),
  });
  await source.run((samples) => {
    showLevel(samples);
    session.send(samples);
  }, session);
  showLevel([]);
  if (!session.over) tell("Waiting for the last words…");
  session.finish();
}

function end(message, failed = false) {
  source?.stop();
  tell(message, failed);
  setRunning(false);
}

function show(message, age, session) {
  view.show(transcript.take(message));
  for (const button of downloads) button.disabled = transcript.isEmpty;
  if (age !== null && !session.finished) {
    find("latency").textContent = `Latency ${Math.round(age)} ms (server ${Math.round(message.lag_ms)} ms)`;
  }
}

function showLevel(samples) {
  let most = 0;
  for (const sample of samples) most = Math.max(most, Math.abs(sample));
  find("level").value = Math.sqrt(most / 32768);
}

function download(form) {
  const text = { txt: () => transcript.text(), srt: () => transcript.srt(), vtt: () => transcript.vtt() }[form]();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: TYPES[form] }));
  link.download = `transcript.${form}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

buttons.microphone.onclick = () => listen(() => Microphone.open());
buttons.open.onclick = () => find("file").click();
find("file").onchange = ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) listen(() => Recording.open(file, find("real-time").checked));
};
buttons.stop.onclick = () => source?.stop();
find("confidence").onclick = ({ target }) => {
  const wanted = target.getAttribute("aria-pressed") !== "true";
  target.setAttribute("aria-pressed", String(wanted));
  view.showConfidence(wanted);
};
for (const button of downloads) button.onclick = () => download(button.dataset.form);
