/**
 * How fast something moves and when it will be done. Says nothing until it can be trusted: five seconds and two percent. The end is a
 * range, from the fastest and the slowest of the last moments: a single number would be believed.
 */
export interface Pace {
  readonly perSecond: number | null;
  readonly eta: { readonly leastMs: number; readonly mostMs: number } | null;
}

const trustedAfterMs = 5_000;
const trustedShare = 0.02;
const windowMs = 10_000;

interface Sample {
  readonly atMs: number;
  readonly done: number;
}

export class PaceKeeper {
  #samples: Sample[] = [];
  #first: Sample | null = null;

  /** `total` null: unknown. A count that went down begins anew. */
  note(atMs: number, done: number, total: number | null): Pace {
    const last = this.#samples.at(-1);
    if (last !== undefined && done < last.done) this.#samples = [];
    if (this.#first === null || this.#samples.length === 0) this.#first = { atMs, done };
    this.#samples.push({ atMs, done });
    this.#samples = this.#samples.filter((sample) => atMs - sample.atMs <= windowMs);
    return { perSecond: this.#rate(), eta: this.#eta(atMs, done, total) };
  }

  #rate(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < 900) return null;
    return ((last.done - first.done) / (last.atMs - first.atMs)) * 1000;
  }

  #eta(atMs: number, done: number, total: number | null): Pace["eta"] {
    const begun = this.#first;
    if (total === null || begun === null || total <= 0 || done >= total) return null;
    if (atMs - begun.atMs < trustedAfterMs || done - begun.done < total * trustedShare) return null;
    const rates = this.#steps();
    const fastest = Math.max(...rates);
    const slowest = Math.min(...rates);
    if (rates.length === 0 || slowest <= 0) return null;
    return { leastMs: ((total - done) / fastest) * 1000, mostMs: ((total - done) / slowest) * 1000 };
  }

  /** Rates over steps of about two seconds. */
  #steps(): readonly number[] {
    const rates: number[] = [];
    let from = this.#samples[0];
    for (const sample of this.#samples) {
      if (from === undefined || sample.atMs - from.atMs < 2_000) continue;
      rates.push(((sample.done - from.done) / (sample.atMs - from.atMs)) * 1000);
      from = sample;
    }
    return rates;
  }
}
