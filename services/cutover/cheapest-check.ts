/**
 * What was proven before need not be read again, if there is a proof; without one every row is. Which of the two is decided before the fence: `cost` is
 * asked by preflight, and the answer stands until it is asked again, so that a pause is as long as was said.
 */
import type { FinalCheck } from "../../core/contracts/cutover.js";
import { asTailraceError } from "../../core/errors.js";

export class CheapestCheck implements FinalCheck {
  #chosen: FinalCheck;

  constructor(
    private readonly proven: FinalCheck | null,
    private readonly whole: FinalCheck,
  ) {
    this.#chosen = whole;
  }

  async cost(signal: AbortSignal): ReturnType<FinalCheck["cost"]> {
    const cost = (await this.proven?.cost(signal)) ?? null;
    if (this.proven !== null && cost !== null && cost.oldestProofMs !== null) {
      this.#chosen = this.proven;
      return cost;
    }
    this.#chosen = this.whole;
    return await this.whole.cost(signal);
  }

  advance(signal: AbortSignal): Promise<number> {
    return this.#chosen.advance(signal);
  }

  async check(...asked: Parameters<FinalCheck["check"]>): ReturnType<FinalCheck["check"]> {
    try {
      return await this.#chosen.check(...asked);
    } catch (thrown) {
      // The proof was lost on the way (the log was pruned): reading everything still tells, if the pause is long enough.
      if (this.#chosen === this.whole || asTailraceError(thrown).code !== this.lostProof) throw thrown;
      return await this.whole.check(...asked);
    }
  }

  private readonly lostProof: string = "verify.unproven";
}
