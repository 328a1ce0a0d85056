/**
 * Client of the Confluent schema registry API, the three calls of it that a codec needs. What it has answered once is never asked again, so
 * known schemas go on working while the registry is down; what it did not have is asked again each time.
 *
 * 5xx, 408, 429 and broken connections: a few tries here with rising delay, then `registry.unavailable`, which the service retries. Every
 * other answer is the registry's last word: `registry.refused` with its own text.
 */
import { Backoff, type Clock, systemClock } from "../../core/clock.js";
import { printable, TailraceError } from "../../core/errors.js";
import type { RegistrySettings } from "../../core/settings.js";
import { Coalesced } from "./coalesced.js";
import { exchange, type HttpAnswer, type HttpOptions, type HttpRequest } from "./http.js";
import type { SchemaRegistry } from "./registry.js";

export interface ConfluentOptions {
  readonly clock?: Clock;
  readonly timeoutMs?: number;
  readonly tries?: number;
}

export function confluentRegistry(settings: RegistrySettings, options: ConfluentOptions = {}): SchemaRegistry {
  return new ConfluentRegistry(settings, options);
}

const answerBytesMax = 16 * 1024 * 1024;
const wordsMax = 600;
const schemaNotFound = 40403;

class ConfluentRegistry implements SchemaRegistry {
  readonly #base: URL;
  readonly #http: HttpOptions;
  readonly #clock: Clock;
  readonly #tries: number;
  readonly #ids = new Coalesced<number>();
  readonly #texts = new Coalesced<string>();

  constructor(settings: RegistrySettings, options: ConfluentOptions) {
    const { url, authorization } = addressOf(settings);
    this.#base = url;
    this.#http = { authorization, ca: settings.ca, timeoutMs: options.timeoutMs ?? 10_000, answerBytesMax };
    this.#clock = options.clock ?? systemClock;
    this.#tries = options.tries ?? 4;
  }

  idFor(subject: string, schemaText: string, signal: AbortSignal): Promise<number> {
    return this.#ids.get(JSON.stringify([subject, schemaText]), (ended) => this.#register(subject, schemaText, ended), signal);
  }

  schemaById(id: number, signal: AbortSignal): Promise<string> {
    return this.#texts.get(String(id), (ended) => this.#fetch(id, ended), signal);
  }

  /** A registry keeps its schemas by itself. */
  async recheck(): Promise<void> {}

  async #register(subject: string, schema: string, signal: AbortSignal): Promise<number> {
    const url = this.#url(`subjects/${encodeURIComponent(subject)}/versions`);
    const answer = await this.#ask({ method: "POST", url, body: JSON.stringify({ schema, schemaType: "AVRO" }) }, signal);
    const id = member(answer, "id");
    if (answer.status !== 200 || typeof id !== "number" || !isSchemaId(id)) throw this.#refused(answer, { subject });
    return id;
  }

  async #fetch(id: number, signal: AbortSignal): Promise<string> {
    const answer = await this.#ask({ method: "GET", url: this.#url(`schemas/ids/${id}`), body: null }, signal);
    if (answer.status === 404 && member(answer, "error_code") === schemaNotFound)
      throw new TailraceError("registry.unknown-schema", {
        what: `the registry has no schema ${id}`,
        where: { registry: this.#base.origin, schema: id },
      });
    const schema = member(answer, "schema");
    const type = member(answer, "schemaType") ?? "AVRO";
    if (answer.status !== 200 || typeof schema !== "string" || type !== "AVRO") throw this.#refused(answer, { schema: id });
    return schema;
  }

  /** Tries again what may pass by itself. */
  async #ask(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const backoff = new Backoff(100, 2_000);
    for (let left = this.#tries - 1; ; left--) {
      try {
        const answer = await exchange(request, this.#http, signal);
        if (!isTransient(answer.status)) return answer;
        throw new TailraceError("registry.unavailable", {
          what: `the registry fails: ${wordsOf(answer)}`,
          where: { registry: this.#base.origin },
        });
      } catch (error) {
        if (left <= 0 || !(error instanceof TailraceError) || error.code !== "registry.unavailable") throw error;
      }
      await this.#clock.delay(backoff.next(), signal);
    }
  }

  /** The base may have a path of its own. */
  #url(path: string): URL {
    const url = new URL(this.#base);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path}`;
    return url;
  }

  #refused(answer: HttpAnswer, where: Readonly<Record<string, string | number>>): TailraceError {
    const isRedirect = answer.status >= 300 && answer.status < 400;
    const words = isRedirect ? `it sends us to ${originOf(answer.location)}, and redirects are not followed` : wordsOf(answer);
    return new TailraceError("registry.refused", {
      what: `the registry refuses: ${words}`,
      where: { registry: this.#base.origin, ...where },
    });
  }
}

/** Credentials may also stand in the URL; they are taken out of it, so that no message carries them. */
function addressOf(settings: RegistrySettings): { readonly url: URL; readonly authorization: string | null } {
  if (!URL.canParse(settings.url) || !/^https?:/i.test(settings.url))
    throw new TailraceError("settings.refused", { what: "log.registry is not an http or https URL" });
  const url = new URL(settings.url);
  const inUrl = url.username === "" ? null : basic(decodeURIComponent(url.username), decodeURIComponent(url.password));
  url.username = "";
  url.password = "";
  url.search = "";
  url.hash = "";
  const { auth } = settings;
  if (auth === null) return { url, authorization: inUrl };
  return { url, authorization: "token" in auth ? `Bearer ${auth.token.reveal()}` : basic(auth.username, auth.password.reveal()) };
}

const basic = (username: string, password: string): string => `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;

const isTransient = (status: number): boolean => status >= 500 || status === 408 || status === 429;

/** Four bytes of the frame. */
const isSchemaId = (id: number): boolean => Number.isInteger(id) && id >= 0 && id <= 0xffffffff;

function member(answer: HttpAnswer, name: string): unknown {
  try {
    const parsed: unknown = JSON.parse(answer.body);
    return typeof parsed === "object" && parsed !== null ? Object.entries(parsed).find(([key]) => key === name)?.[1] : undefined;
  } catch {
    // Not JSON: whoever asked sees the status and the words.
    return undefined;
  }
}

function wordsOf(answer: HttpAnswer): string {
  const message = member(answer, "message");
  const code = member(answer, "error_code");
  const words = typeof message === "string" ? message : answer.body;
  return printable(`HTTP ${answer.status}${typeof code === "number" ? ` (${code})` : ""}: ${words.slice(0, wordsMax)}`);
}

const originOf = (location: string | null): string =>
  location !== null && URL.canParse(location) ? new URL(location).origin : "another path";
