/** Between the source and the process that holds DuckDB. */
import { type ErrorCode, isErrorCode } from "../../../core/error-catalogue.js";
import { asTailraceError, TailraceError } from "../../../core/errors.js";
import type { Engine } from "./engine.js";

/** Of an engine `E`: the one that compares, unless another is named. */
export type Method<E = Engine> = keyof E & string;
export type Request<M extends Method<E>, E = Engine> = E[M] extends (...words: infer Words extends readonly unknown[]) => unknown
  ? Words
  : never;
export type Answer<M extends Method<E>, E = Engine> = E[M] extends (...words: never[]) => infer Given ? Awaited<Given> : never;

export interface Call {
  readonly id: number;
  readonly method: string;
  readonly request: readonly unknown[];
}
export type Reply =
  | { readonly id: number; readonly kind: "answer"; readonly answer: unknown }
  | { readonly id: number; readonly kind: "error"; readonly error: ErrorText };
export interface ErrorText {
  readonly code: ErrorCode;
  readonly what: string;
  readonly where: TailraceError["where"];
}

export function printError(thrown: unknown): ErrorText {
  const { code, message, where } = asTailraceError(thrown);
  return { code, what: message, where };
}

export const readError = ({ code, what, where }: ErrorText): TailraceError =>
  new TailraceError(isErrorCode(code) ? code : "internal", { what, where });
