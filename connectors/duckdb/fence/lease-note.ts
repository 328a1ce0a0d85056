/** Says to other processes that the file is leased, and until when. Nothing depends on it: what keeps writers out is the lock. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MarkerId, markerId } from "../../../core/vocabulary/ids.js";
import { type Position, position } from "../../../core/vocabulary/position.js";

export interface StandingLease {
  readonly marker: MarkerId;
  readonly at: Position;
  readonly untilMs: number;
}

export class LeaseNote {
  readonly #path: string;

  constructor(directory: string) {
    this.#path = join(directory, "lease.json");
  }

  store({ marker, at, untilMs }: StandingLease): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify({ marker, history: at.history, order: at.order, untilMs }), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  forget(): void {
    rmSync(this.#path, { force: true });
  }

  /** null: none, or it is over. */
  standing(nowMs: number): StandingLease | null {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch {
      return null;
    }
    const said = JSON.parse(text) as { marker: string; history: number; order: number; untilMs: number };
    if (said.untilMs <= nowMs) return null;
    return { marker: markerId(said.marker), at: position(said.history, said.order), untilMs: said.untilMs };
  }
}
