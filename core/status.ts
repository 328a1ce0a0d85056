/** What a service says of itself: /status, `tailrace status` and logs are made of it. Plain JSON. */
export type ServiceState = "starting" | "running" | "standing-by" | "waiting" | "paused" | "stopped" | "ended";

export type ServiceName = "source" | "sink" | "verify" | "reverse";

export interface ServiceStatus {
  readonly service: ServiceName;
  readonly pipeline: string;
  readonly state: ServiceState;
  /** One sentence when the state is not `running`: what it waits for or why it stopped, with the remedy. */
  readonly why: string | null;
  readonly code: string | null;
  /** While retrying: which attempt, and when the next one comes. */
  readonly attempt: { readonly n: number; readonly nextInMs: number } | null;
  readonly sinceMs: number;
  readonly position: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A long-lived service: run until the signal fires. Resolves after a clean stop; rejects when a person is needed. */
export interface Service {
  readonly name: ServiceName;
  run(signal: AbortSignal): Promise<void>;
  status(): ServiceStatus;
}

/** `details.captureLog` of the source service. */
export interface CaptureLogStatus {
  readonly bytes: number;
  readonly ms: number;
  readonly freeBytes: number | null;
  readonly retain: "applied" | "acknowledged";
  readonly maxBytes: number;
  readonly alarm: "size" | "age" | "disk" | null;
  /** Rows that the target lacks are gone from the source: only the log has them. */
  readonly forgotten: boolean;
}
