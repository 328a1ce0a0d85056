/**
 * The two streams of the command. stdout carries the answer and nothing else; stderr carries log, progress and errors. A reader that goes
 * away (`| head`) ends us quietly.
 */
import { bold, cyan, dim, green, red, yellow } from "yoctocolors";
import { asTailraceError, printable, type TailraceError } from "../../core/errors.js";
import { SettingsRefused } from "../settings/faults.js";

export const apiVersion = "tailrace/v1";
export type Format = "table" | "json";
export type ProgressMode = "live" | "plain" | "json" | "none";

/** What a verb answers: one JSON object with `-o json`, else the text. */
export interface Answer {
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** What to type next. */
  readonly next: readonly string[];
  /** Lines for people; without `next`, which is printed behind it. */
  readonly text: (paint: Paint) => string;
}
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}
export interface Streams {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

export class Output {
  readonly paint: Paint;
  readonly paintError: Paint;

  constructor(
    readonly streams: Streams,
    readonly format: Format,
    readonly progress: ProgressMode,
    readonly quiet: boolean,
  ) {
    this.paint = painter(streams.stdout.isTTY === true && format === "table");
    this.paintError = painter(streams.stderr.isTTY === true);
  }

  answer(answer: Answer): void {
    this.streams.stdout.write(this.format === "json" ? `${answerJson(answer)}\n` : this.#text(answer));
  }

  /** One line for people on stderr: what is going on. Not for errors. */
  note(text: string): void {
    if (this.quiet || this.progress === "none") return;
    if (this.progress === "json") this.streams.stderr.write(`${JSON.stringify({ event: "note", text })}\n`);
    else this.streams.stderr.write(`${text}\n`);
  }

  /** A moment of progress for machines; people see `note` or a live screen. */
  event(event: string, data: Readonly<Record<string, unknown>>): void {
    if (this.progress === "json") this.streams.stderr.write(`${JSON.stringify({ event, ...data })}\n`);
  }

  error(thrown: unknown): void {
    const error = asTailraceError(thrown);
    this.streams.stderr.write(this.format === "json" ? `${errorJson(error)}\n` : errorText(error, this.paintError));
  }

  #text(answer: Answer): string {
    const body = answer.text(this.paint).replace(/\n*$/, "\n");
    if (answer.next.length === 0 || this.quiet) return body;
    return `${body}${this.paint.dim("next:")} ${answer.next.map((line) => this.paint.cyan(line)).join("    ")}\n`;
  }
}

export const answerJson = (answer: Answer): string =>
  JSON.stringify({ apiVersion, kind: answer.kind, ...answer.data, next: answer.next }, (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );

/** `retryable`: the same command may work later without anybody changing anything. */
export const errorJson = (error: TailraceError): string =>
  JSON.stringify({
    code: error.code,
    message: printable(error.message),
    where: error.where,
    remedy: error.remedy,
    retryable: error.verdict !== "stop",
    ...(error instanceof SettingsRefused ? { faults: error.faults } : {}),
  });

function errorText(error: TailraceError, paint: Paint): string {
  const lines = [`${paint.red("error:")} ${printable(error.message)}`];
  const places = Object.entries(error.where).map(([name, value]) => `${name} ${printable(String(value))}`);
  if (places.length > 0) lines.push(`${paint.dim("where:")} ${places.join(", ")}`);
  if (error instanceof SettingsRefused && error.faults.length > 1) {
    for (const fault of error.faults) {
      const line = fault.line === null ? "" : `line ${fault.line}: `;
      lines.push(`  ${paint.dim(line)}${printable(`${fault.path === "" ? "the file" : fault.path} ${fault.what}`)}`);
    }
  }
  lines.push(`${paint.dim("next: ")} ${error.remedy}`, `${paint.dim("code: ")} ${error.code}  (tailrace explain ${error.code})`);
  return `${lines.join("\n")}\n`;
}

/** yoctocolors asks the environment (NO_COLOR, TERM); whether the stream is a terminal is ours to ask. */
function painter(colours: boolean): Paint {
  const plain = (text: string): string => text;
  return colours
    ? { bold, dim, red, green, yellow, cyan }
    : { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };
}
