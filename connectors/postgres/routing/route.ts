/** What a route says, and the errors by which a fenced database says no. No imports: this is what an application's types are made of. */
export interface Route {
  /** source: write to the source database; paused: hold writes; target: write to PostgreSQL. */
  readonly side: "source" | "paused" | "target";
  /** Rises with every change. */
  readonly version: number;
}

/** How a fenced source refuses a write, whatever library brings the message. */
export const fencedWords = "tailrace: writes are fenced off";

/** How DuckDB says that it cannot open a file: another process has it, or it was put aside. Nothing was written. */
export const isLockedOut = (thrown: unknown): boolean =>
  thrown instanceof Error && /Could not set lock on file|is not a valid DuckDB database file/.test(thrown.message);

export const isFencedOff = (thrown: unknown): boolean => thrown instanceof Error && thrown.message.includes(fencedWords);
