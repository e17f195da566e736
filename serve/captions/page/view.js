// What is seen. Words that will not change are added once, so that a screen reader says each of them once.

import { dividedWords } from "./transcript.js";

const DOUBTFUL = 0.5;

export class CaptionsView {
  constructor(log) {
    this.log = log;
    this.captions = [];
  }

  clear() {
    this.captions = [];
    this.log.replaceChildren();
  }

  showConfidence(wanted) {
    this.log.classList.toggle("with-confidence", wanted);
  }

  show(segment) {
    const { stable, unstable } = dividedWords(segment);
    if (!stable.length && !unstable.length && !this.captions[segment.segment]) return;
    const isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    const caption = (this.captions[segment.segment] ??= this.#add(segment));
    for (const word of stable.slice(caption.stable.childElementCount)) {
      caption.stable.append(element("span", "word", word), " ");
    }
    caption.unstable.textContent = unstable.join(" ");
    [...caption.stable.children].forEach((word, place) => rate(word, segment.words[place]));
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  #add(segment) {
    const time = element("span", "time", minutes(segment.words[0]?.start ?? segment.start));
    time.setAttribute("aria-hidden", "true");
    const [stable, unstable] = [element("span", "stable"), element("span", "unstable")];
    unstable.setAttribute("aria-hidden", "true");
    const [caption, text] = [element("p", "caption"), element("span", "text")];
    text.append(stable, unstable);
    caption.append(time, text);
    this.log.append(caption);
    return { stable, unstable };
  }
}

function rate(word, timing) {
  if (!timing) return;
  word.dataset.confidence = `${Math.round(100 * timing.confidence)}%`;
  word.classList.toggle("doubtful", timing.confidence < DOUBTFUL);
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function minutes(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
