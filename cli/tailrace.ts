#!/usr/bin/env node
/**
 * Entry of the command. Promises: every way out has an exit code of the table, every error says what, where and what next, and two signals
 * always end the process (the first asks, the second insists).
 */
import { CommanderError } from "commander";
import { asTailraceError, isAbort, TailraceError } from "../core/errors.js";
import { type ExitCode, exitCodeOf, exits, type Stage } from "./exit-codes.js";
import { durationOf, type GlobalOptions, type Invocation, usage, VerbOptions } from "./invocation.js";
import { type Format, Output, type ProgressMode } from "./output/output.js";
import { buildProgram, type Called } from "./program.js";
import type { LoadedSettings } from "./settings/load-settings.js";
import { signalsAsAbort } from "./signals.js";

/** A verb that serves was cut off from its reader, or failed where nobody catches: then ending is a fault. */
let serving = false;

process.exitCode = await main(process.argv.slice(2));
// Everything is closed by now; a handle that a library has left open must not keep the command from ending.
setTimeout(() => process.exit(), 2_000).unref();

async function main(words: readonly string[]): Promise<number> {
  leaveWhenNobodyReads();
  const asked =
    words.includes("--json") ||
    words.some(
      (word, i) => word === "-ojson" || word === "--output=json" || (word === "json" && /^(-o|--output)$/.test(words[i - 1] ?? "")),
    );
  endOnWhatNobodyCatches(asked ? "json" : "table");
  let called: Called | null = null;
  const program = buildProgram((verb) => {
    called = verb;
  });
  const usageLines: string[] = [];
  for (const command of [program, ...program.commands]) {
    command.exitOverride();
    command.configureOutput({ writeErr: (text) => usageLines.push(text) });
  }
  try {
    program.parse([...words], { from: "user" });
  } catch (thrown) {
    return refuseUsage(thrown, usageLines, asked);
  }
  return called === null ? exits.refused : await runVerb(called, program.opts());
}

async function runVerb(called: Called, given: Readonly<Record<string, unknown>>): Promise<ExitCode> {
  const globalOptions = new VerbOptions(given);
  const format: Format = globalOptions.flag("json") || globalOptions.text("output") === "json" ? "json" : "table";
  const out = new Output(process, format, progressMode(globalOptions.text("progress")), globalOptions.flag("quiet"));
  const signals = signalsAsAbort();
  let stage: Stage = "checking";
  let loaded: LoadedSettings | null = null;
  try {
    const timeout = globalOptions.text("timeout");
    const globals: GlobalOptions = {
      config: globalOptions.text("config") ?? "tailrace.yaml",
      yes: globalOptions.flag("yes"),
      quiet: globalOptions.flag("quiet"),
      verbose: globalOptions.flag("verbose"),
      timeoutMs: timeout === null ? null : durationOf(timeout, "--timeout"),
    };
    const invocation: Invocation = {
      words: called.words,
      options: new VerbOptions(called.options),
      globals,
      out,
      signal: signals.signal,
      settings: async () => {
        const { loadSettings } = await import("./settings/load-settings.js");
        loaded ??= loadSettings(globals.config, process.env);
        return loaded;
      },
      stage: (next) => {
        stage = next;
        serving = next === "serving";
      },
    };
    const { verb } = await called.load();
    return await verb(invocation);
  } catch (thrown) {
    if (isAbort(thrown) && signals.signal.aborted) return signals.exitCode();
    const error = asTailraceError(thrown);
    out.error(error);
    if (globalOptions.flag("verbose") || error.code === "internal") showCause(thrown);
    return exitCodeOf(error, stage);
  } finally {
    signals.release();
  }
}

function progressMode(text: string | null): ProgressMode {
  if (text === "plain" || text === "json" || text === "none") return text;
  return process.stderr.isTTY && process.env["TERM"] !== "dumb" ? "live" : "plain";
}

function refuseUsage(thrown: unknown, lines: readonly string[], json: boolean): number {
  if (!(thrown instanceof CommanderError)) throw thrown;
  if (thrown.exitCode === 0) return exits.done;
  if (thrown.code === "commander.help") {
    process.stderr.write(lines.join(""));
    return exits.refused;
  }
  const text = lines
    .join(" ")
    .replaceAll(/\s+/g, " ")
    .replace(/^error: /, "")
    .trim();
  new Output(process, json ? "json" : "table", "none", false).error(usage(text === "" ? thrown.message : text));
  return exits.refused;
}

/** Stacks of causes, for a bug report. They may quote statements, never row values: our own errors leave those out. */
function showCause(thrown: unknown): void {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) process.stderr.write(`${error.stack ?? error.message}\n`);
}

/** `| head` has read enough; but a service whose log nobody takes any more must be started again by whoever supervises it. */
function leaveWhenNobodyReads(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(serving ? exits.fault : exits.done);
      // A full disk, most of the time: half an answer must not look like a whole one.
      if (stream === process.stdout) process.stderr.write(`error: the answer cannot be written (${error.code ?? error.message})\n`);
      process.exit(exits.fault);
    });
  }
}

/** An error that escaped every catcher, or a rejection that nobody waits for: what the process knows is not to be trusted any more. */
function endOnWhatNobodyCatches(format: Format): void {
  process.on("uncaughtException", (thrown: unknown) => {
    try {
      if (!isEpipe(thrown))
        new Output(process, format, "none", false).error(new TailraceError("internal", { what: wordsOf(thrown), cause: thrown }));
      showCause(thrown);
    } finally {
      process.exit(exits.fault);
    }
  });
}

// Functions, not constants: the top of this file waits for the verb, and until it has ended nothing below is defined.
function isEpipe(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === "EPIPE";
}

function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : `something was thrown that is no error: ${String(thrown)}`;
}
