/** Between the source and the process that holds DuckDB. */
import { type ErrorCode, isErrorCode } from "../../../core/error-catalogue.js";
import { asTailraceError, TailraceError } from "../../../core/errors.js";
import type { Engine } from "./engine.js";

export type Method = keyof Engine;
export type Request<M extends Method> = Parameters<Engine[M]>;
export type Answer<M extends Method> = Awaited<ReturnType<Engine[M]>>;

export interface Call {
  readonly id: number;
  readonly method: Method;
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
