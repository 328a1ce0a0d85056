/** What a child tells its supervisor, over the IPC channel that also tells each of the other's death. */
import type { ServiceStatus } from "../../core/status.js";
import type { Address } from "../settings/address.js";

export type Role = "source" | "sink" | "verify" | "reverse";
/** Without these two nothing moves; the others only look on. */
export const movers: readonly Role[] = ["source", "sink"];

export interface ChildReport {
  readonly kind: "report";
  readonly status: ServiceStatus;
  readonly http: Address;
}

/** The channel joins two builds of the same program, but a parser costs nothing and a surprise would. */
export function parseReport(message: unknown): ChildReport | null {
  if (typeof message !== "object" || message === null) return null;
  const { kind, status, http } = message as { kind?: unknown; status?: unknown; http?: unknown };
  return kind === "report" && typeof status === "object" && status !== null && typeof http === "object" && http !== null
    ? (message as ChildReport)
    : null;
}
