/** What a call through a contract may end in, by verdict: as the connector behind it would say it. */
import { type ErrorCode, TailraceError } from "../../../core/errors.js";
import type { Call, Failure } from "./ports.js";

export const failureKinds = ["retry", "retry after its effect", "undecided", "undecided after its effect", "stop", "bug"] as const;
export type FailureKind = (typeof failureKinds)[number];

const codes: Readonly<Record<"retry" | "stop", Readonly<Record<"log" | "source" | "target" | "codec", ErrorCode>>>> = {
  retry: { log: "log.unavailable", source: "source.busy", target: "target.unavailable", codec: "registry.unavailable" },
  stop: { log: "log.privileges", source: "source.log-damaged", target: "target.privileges", codec: "registry.refused" },
};

export function failureOf(kind: FailureKind, { n, name }: Call): Failure {
  const when = kind.endsWith("after its effect") ? "after" : "before";
  const what = `call ${n} (${name}) fails on purpose`;
  switch (kind) {
    case "retry":
    case "retry after its effect":
      return { when, error: new TailraceError(codes.retry[sideOf(name)], { what }) };
    case "undecided":
    case "undecided after its effect":
      return { when, error: new TailraceError(sideOf(name) === "target" ? "target.undecided" : "log.append-failed", { what }) };
    case "stop":
      return { when, error: new TailraceError(codes.stop[sideOf(name)], { what }) };
    case "bug":
      return { when, error: new Error(what) };
  }
}

function sideOf(name: string): "log" | "source" | "target" | "codec" {
  if (/^(source|batch|process\.openSource)/.test(name)) return "source";
  if (/^(target|process\.openTarget)/.test(name)) return "target";
  return name.startsWith("codec") ? "codec" : "log";
}
