import { catalogue } from "../../core/error-catalogue.js";
import { asTailraceError } from "../../core/errors.js";
import { type Check, found } from "./check.js";

/** A check whose probe was refused: the error says what, its catalogue entry why and what to do. */
export function failed(place: Pick<Check, "id" | "group" | "where">, thrown: unknown): Check {
  const error = asTailraceError(thrown);
  // A fault of ours is no finding about the operator's machines.
  if (error.code === "internal") throw error;
  return found(place, "error", { what: error.message, why: catalogue[error.code].cause, fix: error.remedy, code: error.code });
}
