import { join } from "node:path";
import type { Settings } from "../../core/settings.js";
import { formatAddress } from "../settings/address.js";
import { describeUrl } from "../settings/effective.js";

export const embeddedDirectory = (settings: Settings): string => join(settings.stateDirectory, "postgres");

/** Where the target is, without user and password. */
export const describeTarget = (settings: Settings): string =>
  settings.target.url === null ? `embedded PostgreSQL in ${embeddedDirectory(settings)}` : describeUrl(settings.target.url.reveal());

export const describeLog = (settings: Settings): string =>
  settings.log.kind === "kafka" ? `Kafka at ${settings.log.brokers.join(", ")}` : `embedded log in ${settings.log.path}`;

/** Ports of one pipeline on one machine: the supervisor, then one per role; the fourth is the console's. */
export type HttpPlace = "all" | "source" | "sink" | "verify" | "reverse";
const step: Readonly<Record<HttpPlace, number>> = { all: 0, source: 1, sink: 2, verify: 3, reverse: 5 };

/** Port 0 stays 0: any free one, for tests. */
export const httpAddress = ({ http }: Settings, place: HttpPlace): { readonly host: string; readonly port: number } => ({
  host: http.host,
  port: http.port === 0 ? 0 : http.port + step[place],
});
export const httpBase = (settings: Settings, place: HttpPlace): string => `http://${formatAddress(httpAddress(settings, place))}`;
