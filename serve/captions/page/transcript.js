// What was said: the segments as they came, and their forms for a file.

const MAX_SECONDS = 6;
const MAX_CHARACTERS = 80;
const MAX_GAP_SECONDS = 1;
const MIN_SECONDS = 0.8;

export class Transcript {
  segments = [];

  // Take a `result`; returns the segment.
  take(result) {
    this.segments[result.segment] = result;
    return result;
  }

  get isEmpty() {
    return !this.#spoken().length;
  }

  text() {
    return this.#spoken()
      .map((segment) => `${textOf(segment)}\n`)
      .join("");
  }

  srt() {
    return this.#cues()
      .map((cue, index) => `${index + 1}\n${clock(cue.start, ",")} --> ${clock(cue.end, ",")}\n${cue.text}\n`)
      .join("\n");
  }

  vtt() {
    const cues = this.#cues().map(
      (cue) => `${clock(cue.start, ".")} --> ${clock(cue.end, ".")}\n${escaped(cue.text)}\n`,
    );
    return ["WEBVTT\n", ...cues].join("\n");
  }

  #spoken() {
    return this.segments.filter((segment) => segment && textOf(segment));
  }

  #cues() {
    return timed(grouped(this.#spoken().flatMap((segment) => segment.words)));
  }
}

export function textOf(segment) {
  return (segment.stable + segment.unstable).trim();
}

// Words that will not change, and those that may. A word of which only a part is stable may change.
export function dividedWords(segment) {
  const words = textOf(segment).split(/\s+/).filter(Boolean);
  let stable = segment.stable.split(/\s+/).filter(Boolean).length;
  const splitsWord = segment.unstable && !/^\s/.test(segment.unstable) && !/\s$/.test(segment.stable);
  if (splitsWord && stable) stable -= 1;
  return { stable: words.slice(0, stable), unstable: words.slice(stable) };
}

// Groups of words, broken at pauses and where one grows too long to read.
function grouped(words) {
  const groups = [];
  for (const word of words) {
    const group = groups.at(-1);
    const length = group ? group.reduce((sum, one) => sum + one.word.length + 1, word.word.length) : 0;
    if (
      !group ||
      word.start - group.at(-1).end > MAX_GAP_SECONDS ||
      word.end - group[0].start > MAX_SECONDS ||
      length > MAX_CHARACTERS
    ) {
      groups.push([word]);
    } else {
      group.push(word);
    }
  }
  return groups;
}

// Cues that stay long enough to be read, where their neighbours allow it.
function timed(groups) {
  let shownUntil = 0;
  return groups.map((group, index) => {
    const latest = groups[index + 1]?.[0].start ?? Infinity;
    let start = group[0].start;
    const end = Math.max(group.at(-1).end, Math.min(start + MIN_SECONDS, latest));
    start = Math.min(start, Math.max(shownUntil, end - MIN_SECONDS));
    shownUntil = end;
    return { start, end, text: group.map((word) => word.word).join(" ") };
  });
}

function clock(seconds, separator) {
  const milliseconds = Math.round(seconds * 1000);
  const part = (unit, size, digits) => String(Math.floor(milliseconds / unit) % size).padStart(digits, "0");
  const hours = String(Math.floor(milliseconds / 3_600_000)).padStart(2, "0");
  return `${hours}:${part(60_000, 60, 2)}:${part(1000, 60, 2)}${separator}${part(1, 1000, 3)}`;
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
