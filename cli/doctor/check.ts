/** One thing that doctor looked at. `id` never changes: scripts and runbooks name it. */
export type CheckGroup = "settings" | "source" | "target" | "log" | "data" | "way-back";
export type CheckSeverity = "ok" | "info" | "warn" | "error";

export interface Check {
  readonly id: string;
  readonly group: CheckGroup;
  readonly severity: CheckSeverity;
  /** One sentence: what is so. */
  readonly what: string;
  readonly where: string;
  /** Why it matters; empty for what is well. */
  readonly why: string;
  /** What to do; empty for what is well. */
  readonly fix: string;
  /** The error code that a service would stop with. */
  readonly code: string | null;
}

type Place = Pick<Check, "id" | "group" | "where">;

export const passed = (place: Place, what: string): Check => ({ ...place, severity: "ok", what, why: "", fix: "", code: null });
export const found = (
  place: Place,
  severity: Exclude<CheckSeverity, "ok">,
  said: Pick<Check, "what" | "why" | "fix"> & { readonly code?: string },
): Check => ({ ...place, severity, what: said.what, why: said.why, fix: said.fix, code: said.code ?? null });
