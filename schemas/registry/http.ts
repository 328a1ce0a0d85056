/**
 * One request to a registry. Through node:http, since the global fetch takes no CA of its own. No redirect is followed: it would carry
 * credentials and schemas to where nobody pointed us. Answers are bounded in time and size.
 */
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { TailraceError } from "../../core/errors.js";
import { timeLimit } from "../../core/time-limit.js";

export interface HttpOptions {
  readonly authorization: string | null;
  readonly ca: string | null;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}
export interface HttpRequest {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly body: string | null;
}
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly location: string | null;
}

const mediaType = "application/vnd.schemaregistry.v1+json";

/** Rejects with `registry.unavailable` when there is no whole answer. */
export async function exchange(request: HttpRequest, options: HttpOptions, signal: AbortSignal): Promise<HttpAnswer> {
  using limit = timeLimit(signal, options.timeoutMs);
  try {
    return await send(request, options, limit.signal);
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof TailraceError) throw cause;
    const why = limit.isOver ? `no answer within ${options.timeoutMs} ms` : cause instanceof Error ? cause.message : String(cause);
    throw new TailraceError("registry.unavailable", {
      what: `the registry does not answer: ${why}`,
      where: { registry: request.url.origin },
      cause,
    });
  }
}

function send(request: HttpRequest, options: HttpOptions, signal: AbortSignal): Promise<HttpAnswer> {
  const { url, method, body } = request;
  const headers: Record<string, string> = { accept: `${mediaType}, application/json` };
  if (options.authorization !== null) headers.authorization = options.authorization;
  if (body !== null) {
    headers["content-type"] = mediaType;
    headers["content-length"] = String(Buffer.byteLength(body));
  }
  // No agent: requests are rare, and a connection kept for the next one would keep the process alive.
  const common = { method, headers, signal, agent: false } as const;
  return new Promise((resolve, reject) => {
    const onAnswer = (answer: IncomingMessage): void => void readAnswer(answer, options.answerBytesMax).then(resolve, reject);
    const sent =
      url.protocol === "https:"
        ? tlsRequest(url, options.ca === null ? common : { ...common, ca: options.ca }, onAnswer)
        : plainRequest(url, common, onAnswer);
    sent.on("error", reject);
    sent.end(body ?? undefined);
  });
}

async function readAnswer(answer: IncomingMessage, bytesMax: number): Promise<HttpAnswer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer) {
    const buffer = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece));
    bytes += buffer.length;
    if (bytes > bytesMax) {
      answer.destroy();
      throw new TailraceError("registry.refused", { what: `the registry answers with more than ${bytesMax} bytes` });
    }
    pieces.push(buffer);
  }
  return { status: answer.statusCode ?? 0, body: Buffer.concat(pieces).toString("utf8"), location: answer.headers.location ?? null };
}
