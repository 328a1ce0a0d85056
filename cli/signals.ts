/** SIGTERM and SIGINT: the first one asks (the signal fires, work in hand is finished), the second one ends the process at once. */
import { type ExitCode, exits } from "./exit-codes.js";

export interface SignalsAsAbort {
  readonly signal: AbortSignal;
  /** Of a verb that was interrupted before it was done. Long-running verbs end with 0 of their own. */
  exitCode(): ExitCode;
  release(): void;
}

export function signalsAsAbort(): SignalsAsAbort {
  const controller = new AbortController();
  let first: "SIGINT" | "SIGTERM" = "SIGTERM";
  const heard = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === "SIGINT" ? exits.interrupted : exits.terminated);
    first = name === "SIGINT" ? "SIGINT" : "SIGTERM";
    controller.abort();
  };
  process.on("SIGINT", heard);
  process.on("SIGTERM", heard);
  return {
    signal: controller.signal,
    exitCode: () => (first === "SIGINT" ? exits.interrupted : exits.terminated),
    release: () => {
      process.off("SIGINT", heard);
      process.off("SIGTERM", heard);
    },
  };
}
