/** What a route says, and the errors by which a fenced database says no. No imports: this is what an application's types are made of. */
export interface Route {
  /** source: write to the source database; paused: hold writes; target: write to PostgreSQL. */
  readonly side: "source" | "paused" | "target";
  /** Rises with every change. */
  readonly version: number;
}

/** How a fenced source refuses a write, whatever library brings the message. */
export const fencedWords = "tailrace: writes are fenced off";

export const isFencedOff = (thrown: unknown): boolean => thrown instanceof Error && thrown.message.includes(fencedWords);
