// All a job page knows, kept up to date by the event stream. Renders nothing: it says which parts changed.

import { ApiError, follow, get, pages } from "./api.js";
import { throttle } from "./dom.js";
import { ENDED, settingsWords, TRIAL_ENDED } from "./format.js";

const KINDS = ["job", "round", "trial", "epochs", "report"];
const REFRESH_MS = 700;
const RETRY_MS = 3000;

/** `onChange(part)` is called with: job, rounds, trials, schedules, report, live, error. */
export class JobModel {
  constructor(id, onChange) {
    this.id = id;
    this.onChange = onChange;
    this.job = null;
    this.rounds = new Map();
    this.trials = new Map();
    this.schedules = { epochs: [], items: new Map(), recommended: null };
    this.report = null;
    this.live = "";
    this.error = "";
    this.staleRounds = new Set();
    this.turns = new Map();
    this.refreshJob = this.guarded(() => this.loadJob());
    this.refreshTrials = this.guarded(() => this.loadStaleRounds());
    this.refreshPlan = this.guarded(() => Promise.all([this.loadRounds(), this.loadSchedules()]));
  }

  /** Trials in the order of the search. */
  ordered() {
    return [...this.trials.values()].sort((a, b) => a.round - b.round || a.k - b.k);
  }

  searched() {
    return this.ordered().filter((trial) => trial.label === "search");
  }

  get isCompare() {
    return this.job !== null && this.job.report_kind !== "search";
  }

  /** Training settings of a trial's own, in words; those of a comparison go without saying: they are its entry's. */
  settingsWords(trial) {
    return this.isCompare ? "" : settingsWords(trial.train);
  }

  isRecommended(trial) {
    const found = this.schedules.recommended;
    return found !== null && trial.label === "search" && trial.round === found.round && trial.k === found.k;
  }

  get ended() {
    return ENDED.has(this.job.state);
  }

  /** Load everything once and follow the events of a job that has not ended behind what its answer knows of: nothing
   * is replayed, and none that arrives meanwhile is lost. */
  async start() {
    await this.loadJob();
    const early = [];
    this.receiver = (...event) => early.push(event);
    if (!this.ended) this.stop = follow(this.id, this.job.last_event_id, KINDS, (...event) => this.receiver(...event), (live) => this.setLive(live));
    if (this.job.state === "completed") await this.loadReport();
    await Promise.all([this.loadRounds(), this.loadSchedules(), this.loadTrials("")]);
    this.receiver = (kind, data) => this.receive(kind, data);
    for (const event of early) this.receiver(...event);
  }

  /** The answer of a request, or null when a later one of the same kind was made meanwhile: answers may overtake. */
  async newest(kind, request) {
    const turn = (this.turns.get(kind) ?? 0) + 1;
    this.turns.set(kind, turn);
    const answer = await request;
    return turn === this.turns.get(kind) ? answer : null;
  }

  /** Take over the job that `request` answers with. */
  async loadJob(request = get(`/jobs/${this.id}`)) {
    const job = await this.newest("job", request);
    if (job === null) return;
    const had_ended = this.job !== null && this.ended;
    this.job = job;
    this.onChange("job");
    if (this.ended !== had_ended) this.onChange("schedules"); // what is recommended is no longer provisional
  }

  async loadRounds() {
    for await (const items of pages(`/jobs/${this.id}/rounds`)) {
      for (const round of items) this.rounds.set(round.round, round);
      this.onChange("rounds");
    }
  }

  /** Shown after the first page and after the last, so that thousands of trials are not drawn once per page. */
  async loadTrials(query) {
    let n_pages = 0;
    for await (const items of pages(`/jobs/${this.id}/trials${query}`)) {
      for (const trial of items) this.mergeTrial(trial);
      n_pages += 1;
      if (n_pages === 1) this.onChange("trials");
    }
    if (n_pages > 1) this.onChange("trials");
  }

  /** An answer from before a trial's end that arrives behind the end is dropped. */
  mergeTrial(trial) {
    const known = this.trials.get(trial.id);
    if (known && TRIAL_ENDED.has(known.state) && !TRIAL_ENDED.has(trial.state)) return;
    this.trials.set(trial.id, { ...known, ...trial });
  }

  async loadStaleRounds() {
    const rounds = [...this.staleRounds];
    this.staleRounds.clear();
    for (const round of rounds) await this.loadTrials(`?round=${round}`);
  }

  async loadSchedules() {
    const behind = this.schedules.last_event_id === undefined ? "" : `&since=${this.schedules.last_event_id}`;
    const answer = await this.newest("schedules", get(`/jobs/${this.id}/schedules?max_points=60&digits=4${behind}`));
    if (answer === null) return;
    const { epochs, recommended, last_event_id, whole } = answer;
    const items = whole ? new Map() : this.schedules.items;
    for (const item of answer.items) items.set(item.id, item);
    this.schedules = { epochs, items, recommended, last_event_id };
    this.onChange("schedules");
  }

  async loadReport() {
    this.report = await get(`/jobs/${this.id}/report`);
    this.onChange("report");
  }

  /** One event of the stream. Events may be old ones replayed: an ended trial never goes back. */
  receive(kind, data) {
    if (kind === "epochs") this.receiveEpochs(data);
    else if (kind === "trial") this.receiveTrial(data);
    else if (kind === "round" && !this.rounds.has(data.round)) this.refreshPlan();

    if (kind === "job" && ENDED.has(data.state)) this.finish(data.state);
    else this.refreshJob();
  }

  receiveEpochs({ round, epoch, n_epochs, trials }) {
    for (const news of trials) {
      const trial = this.trials.get(news.id);
      if (trial === undefined) this.staleRounds.add(round);
      else if (!TRIAL_ENDED.has(trial.state)) Object.assign(trial, { now: { ...news, epoch, n_epochs } });
    }
    if (this.staleRounds.size) this.refreshTrials();
    this.onChange("epochs");
  }

  receiveTrial(data) {
    const trial = this.trials.get(data.id);
    if (trial !== undefined && TRIAL_ENDED.has(trial.state)) return;
    if (trial !== undefined) Object.assign(trial, { state: data.state, now: data.state === "running" ? trial.now : undefined });
    if (trial === undefined || data.state === "running" || TRIAL_ENDED.has(data.state)) {
      this.staleRounds.add(data.round);
      this.refreshTrials();
    }
    this.onChange("trials");
  }

  /** The job ended: close the stream and read the last state of everything. */
  async finish(state) {
    this.stop?.();
    this.setLive("");
    try {
      await Promise.all([this.loadJob(), this.loadTrials(""), this.loadSchedules()]);
      if (state === "completed") await this.loadReport();
      this.error = "";
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error = error.message;
      setTimeout(() => this.finish(state), RETRY_MS);
    }
    this.onChange("error");
  }

  setLive(live) {
    this.live = live;
    this.onChange("live");
  }

  /** A throttled action whose failure is shown, not thrown. */
  guarded(action) {
    return throttle(async () => {
      try {
        await action();
        this.error = "";
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        this.error = error.message;
      }
      this.onChange("error");
    }, REFRESH_MS);
  }
}
