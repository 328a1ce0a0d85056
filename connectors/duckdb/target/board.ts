/**
 * What is known of the file as a target without opening it, in a directory of ours: whoever asks must not take the file from the one that applies. The
 * file itself decides; what stands here is what it held after the last window that its owner knows to be committed, so it may be behind and is never ahead.
 *
 *   plan.json     stored by `prepare`; its version fences off an owner that has another
 *   applied.json  written by the owner behind each window
 *   paused        the operator's wish
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { TargetPlan } from "../../../core/contracts/plan.js";
import { writeDurably } from "../capture-directory.js";
import type { FileState } from "./apply.js";

export interface StoredPlan {
  readonly version: number;
  readonly plan: TargetPlan;
  /** Tables of earlier plans. */
  readonly former: readonly string[];
}
export interface StoredState extends FileState {
  readonly planVersion: number;
}

export class TargetBoard {
  constructor(readonly path: string) {}

  plan(): StoredPlan | null {
    return this.#read("plan.json") as StoredPlan | null;
  }

  storePlan(plan: StoredPlan): void {
    this.#write("plan.json", JSON.stringify(plan));
  }

  forgetPlan(): void {
    rmSync(join(this.path, "plan.json"), { force: true });
  }

  state(): StoredState | null {
    return this.#read("applied.json") as StoredState | null;
  }

  storeState(state: StoredState): void {
    this.#write("applied.json", JSON.stringify(state));
  }

  get isPaused(): boolean {
    return existsSync(join(this.path, "paused"));
  }

  pause(paused: boolean): void {
    if (paused) this.#write("paused", "");
    else rmSync(join(this.path, "paused"), { force: true });
  }

  made(): string {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    return this.path;
  }

  destroy(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #write(name: string, text: string): void {
    writeDurably(join(this.made(), name), text);
  }

  #read(name: string): unknown {
    try {
      return JSON.parse(readFileSync(join(this.path, name), "utf8"));
    } catch (thrown) {
      if ((thrown as { code?: unknown }).code === "ENOENT") return null;
      throw thrown;
    }
  }
}
