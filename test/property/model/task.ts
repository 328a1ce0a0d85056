/**
 * A process of the model: an async function that runs until it parks, and goes on when the schedule says so. Nothing in the model waits for
 * time, so a run is a function of its schedule. Killing a process is forgetting it.
 */
export class Task<Answer> {
  #resume: ((answer: Answer) => void) | null = null;
  #place: string | null = null;
  #stopped: () => void = () => {};
  #ended = false;
  #error: unknown = null;
  readonly #body: (task: Task<Answer>) => Promise<void>;
  #begun = false;

  constructor(body: (task: Task<Answer>) => Promise<void>) {
    this.#body = body;
  }

  get ended(): boolean {
    return this.#ended;
  }
  get error(): unknown {
    return this.#error;
  }
  /** Where it waits. */
  get place(): string | null {
    return this.#place;
  }

  /** Called by the process: gives the schedule the word. */
  park(place: string): Promise<Answer> {
    return new Promise((resolve) => {
      this.#resume = resolve;
      this.#place = place;
      this.#stopped();
    });
  }

  /** Called by the schedule: runs it until it parks again or ends. */
  async step(answer: Answer): Promise<void> {
    if (this.#ended) return;
    const stopped = new Promise<void>((resolve) => (this.#stopped = resolve));
    const resume = this.#resume;
    this.#resume = null;
    this.#place = null;
    if (resume !== null) resume(answer);
    else if (!this.#begun) this.#begin();
    else throw new Error("the process is neither parked nor new");
    await stopped;
  }

  #begin(): void {
    this.#begun = true;
    void this.#body(this)
      .catch((error: unknown) => (this.#error = error))
      .then(() => {
        this.#ended = true;
        this.#stopped();
      });
  }
}
