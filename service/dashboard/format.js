// Numbers, times and states as people read them.

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const DASH = "\u2013";
export const ENDED = new Set(["completed", "cancelled", "failed"]);
export const TRIAL_ENDED = new Set(["succeeded", "failed", "cancelled"]);

const missing = (value) => value === null || value === undefined;

/** A fraction as per cent with one decimal. */
export function percent(value) {
  return missing(value) ? DASH : `${(100 * value).toFixed(1)}\u202f%`;
}

/** Mean and half-width of an interval, as per cent. */
export function percentInterval(mean, half_width) {
  if (missing(mean)) return DASH;
  if (missing(half_width)) return percent(mean);
  return `${(100 * mean).toFixed(1)} \u00b1 ${(100 * half_width).toFixed(1)}\u202f%`;
}

/** A difference of two accuracies, in percentage points with its sign. */
export function points(difference, half_width) {
  if (missing(difference)) return DASH;
  const sign = difference < 0 ? "\u2212" : "+";
  const width = missing(half_width) ? "" : ` \u00b1 ${(100 * half_width).toFixed(1)}`;
  return `${sign}${Math.abs(100 * difference).toFixed(1)}${width}`;
}

/** A number of the unit interval with two decimals. */
export function fraction(value) {
  return missing(value) ? DASH : value.toFixed(2);
}

/** A UTC time in the reader's zone. */
export function dateTime(iso) {
  return missing(iso) ? DASH : DATE.format(new Date(iso));
}

/** Seconds in the two largest units. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A number of the service's tables (GET /numbers), by its unit. */
export function numberWords({ unit }, value) {
  if (unit === "share") return percent(value);
  return missing(value) ? DASH : value.toFixed(4);
}

/** The title of a number as the head of a column. */
export function head({ title }) {
  return title[0].toUpperCase() + title.slice(1);
}

/** The shape of a schedule R(t) in words. */
export function shapeWords(keep_rate) {
  const lowest = Math.min(...keep_rate);
  if (lowest > 0.995) return "R stays at 1";
  return `R falls from 1 to ${fraction(lowest)} and ends at ${fraction(keep_rate.at(-1))}`;
}

const LABELS = {
  search: "search",
  searched: "searched schedule, re-trained",
  default: "default Co-teaching schedule, re-trained",
  tuned: "tuned eq. (1), re-trained",
  all: "R = 1, re-trained",
};

const CANDIDATES = { searched: "of the search", tuned: "of eq. (1)" };

/** What a trial's schedule is, in words. */
export function labelWords(trial) {
  if (trial.label.startsWith("tau=")) return `eq. (1), ${trial.label.replaceAll("=", " ")}`;
  const [, side, candidate] = /^(searched|tuned) (\d+)$/.exec(trial.label) ?? [];
  if (candidate) return `candidate ${candidate} ${CANDIDATES[side]}, seed ${trial.repeat}`;
  const words = LABELS[trial.label] ?? trial.label;
  return trial.repeat ? `${words}, seed ${trial.repeat}` : words;
}

/** Training settings that a trial alone has different, in words; empty when it has none. */
export function settingsWords({ params = {}, ...fields }) {
  return Object.entries({ ...fields, ...params }).map(([name, value]) => `${name} ${typeof value === "number" ? Number(value.toPrecision(3)) : value}`).join(", ");
}

/** The name of a trial for people: round and k. */
export function trialName(trial) {
  return `round ${trial.round}, trial ${trial.k}`;
}

/** Data, noise, method and network of a job in one line. */
export function specLine({ spec, trains, unreadable }) {
  if (unreadable) return "stored by another release";
  const { data, train } = spec;
  return `${data.name}, ${noiseWords(data)}, ${trains}, ${train.network}`;
}

/** Words that begin a line. */
export function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What accuracy on the test samples is: nobody knows the truth of labels that are given. */
export function accuracyWords({ spec, unreadable }) {
  if (unreadable || spec.data.labels !== "given") return "test accuracy";
  return `accuracy against ${spec.data.trusted?.counted?.n_test ? "trusted" : "the given"} labels`;
}

/** The noise of a job in words; a matrix and human labels bring their own rate. */
function noiseWords({ noise, labels, estimate }) {
  if (labels === "given") {
    return estimate ? `given labels, about ${percent(estimate.noise_rate)} wrong (${percent(estimate.low)} to ${percent(estimate.high)})` : "given labels";
  }
  if (labels === "trusted") return "trusted labels";
  if (noise.kind === "none") return "no injected noise";
  if (noise.kind === "human") return `human labels (${noise.human_labels})`;
  if (noise.kind === "open_set") return `${(100 * noise.noise_rate).toFixed(0)}\u202f% images of ${noise.open_set}`;
  if (noise.kind === "matrix") return "noise from a given matrix";
  return `${(100 * noise.noise_rate).toFixed(0)}\u202f% ${noise.kind.replaceAll("_", " ")} noise`;
}
