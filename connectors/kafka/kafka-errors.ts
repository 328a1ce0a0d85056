/** What the broker and its client library say, in the words of the catalogue. */
import { isAbort, TailraceError } from "../../core/errors.js";

/** As far as anything thrown by the library has them. */
interface LibraryError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly type?: unknown;
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

const staleLeader = new Set([
  "LEADER_NOT_AVAILABLE",
  "NOT_LEADER_FOR_PARTITION",
  "FENCED_LEADER_EPOCH",
  "UNKNOWN_LEADER_EPOCH",
  "REPLICA_NOT_AVAILABLE",
]);
const notAllowed = new Set(["TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"]);
const refusedUser = new Set(["SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM"]);
const refusedTopic = new Set([
  "INVALID_TOPIC_EXCEPTION",
  "INVALID_PARTITIONS",
  "INVALID_REPLICATION_FACTOR",
  "INVALID_CONFIG",
  "POLICY_VIOLATION",
]);
const tlsCodes = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO$)/;

/** The error and all that it was made from; retries wrap the one that says most. */
function chain(thrown: unknown): readonly LibraryError[] {
  const found: LibraryError[] = [];
  const walk = (error: unknown): void => {
    if (typeof error !== "object" || error === null || found.includes(error)) return;
    const known: LibraryError = error;
    found.push(known);
    walk(known.cause);
    if (Array.isArray(known.errors)) known.errors.forEach(walk);
  };
  walk(thrown);
  return found;
}

export const protocolTypes = (thrown: unknown): readonly string[] =>
  chain(thrown).flatMap(({ type }) => (typeof type === "string" ? [type] : []));

export const isUnknownTopic = (thrown: unknown): boolean => protocolTypes(thrown).includes("UNKNOWN_TOPIC_OR_PARTITION");
/** The leader moved, or has not been chosen yet: newer metadata will do. */
export const isStaleLeader = (thrown: unknown): boolean => protocolTypes(thrown).some((type) => staleLeader.has(type));

/** Topic and partition of a fetch that asked for an offset which is not there. */
export function outOfRange(thrown: unknown): { readonly topic: string; readonly partition: number } | null {
  for (const error of chain(thrown)) {
    if (error.name !== "KafkaJSOffsetOutOfRange" || !("topic" in error) || !("partition" in error)) continue;
    return { topic: String(error.topic), partition: Number(error.partition) };
  }
  return null;
}

export function asLogError(brokers: readonly string[], thrown: unknown): unknown {
  if (thrown instanceof TailraceError || isAbort(thrown)) return thrown;
  const errors = chain(thrown);
  // Thrown by a part of ours inside the library, and wrapped by it.
  const ours = errors.find((error) => error instanceof TailraceError);
  if (ours !== undefined) return ours;
  if (!errors.some(({ name }) => typeof name === "string" && name.startsWith("KafkaJS"))) return thrown;
  const types = protocolTypes(thrown);
  const said = errors.flatMap(({ message }) => (typeof message === "string" && message !== "" ? [message] : []))[0] ?? "no answer";
  const where = { brokers: brokers.join(","), ...(types[0] === undefined ? {} : { kafka: types[0] }) };
  const error = (code: ConstructorParameters<typeof TailraceError>[0], what: string): TailraceError =>
    new TailraceError(code, { what: `${what}: ${said}`, where, cause: thrown });
  if (errors.some(({ name }) => name === "KafkaJSSASLAuthenticationError") || types.some((type) => refusedUser.has(type)))
    return error("log.credentials", "the broker refuses the user");
  if (errors.some(({ code }) => typeof code === "string" && tlsCodes.test(code)))
    return error("log.tls", "no safe connection to the broker");
  if (types.some((type) => notAllowed.has(type))) return error("log.privileges", "the broker refuses it to this user");
  if (types.some((type) => refusedTopic.has(type))) return error("log.refused", "the broker refuses a topic");
  if (types.includes("UNKNOWN_TOPIC_OR_PARTITION")) return error("log.topic-missing", "a topic is not there");
  // What we send is far below the limit that topics are made with, and every record was measured.
  if (types.includes("MESSAGE_TOO_LARGE") || types.includes("RECORD_LIST_TOO_LARGE"))
    return error("log.topic-settings", "a topic takes smaller batches than it must (max.message.bytes)");
  return error("log.unavailable", "the broker cannot be used");
}
