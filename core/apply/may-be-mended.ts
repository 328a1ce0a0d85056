import { asTailraceError } from "../errors.js";

/** Refusals that later changes may take back. */
export function mayBeMended(thrown: unknown): boolean {
  const { code } = asTailraceError(thrown);
  return code.startsWith("value.") || code === "target.constraint" || code === "target.too-large";
}
