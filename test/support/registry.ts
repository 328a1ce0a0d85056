/**
 * A schema registry that speaks the Confluent API, in this process: numbers shared by content, with gaps, and the error codes that clients rely
 * on. It can be told to fail, to be slow, to ask for credentials, to refuse.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import avsc from "avsc";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class RegistryServer implements AsyncDisposable {
  /** Answers instead of the registry when it returns something. `hang`: no answer ever. */
  intercept: (request: { readonly method: string; readonly path: string }) => Answer | "hang" | null = () => null;
  /** The `authorization` header to ask for. */
  authorization: string | null = null;
  /** Method and path of each request so far. */
  readonly requests: string[] = [];
  readonly #schemas = new Map<number, string>();
  readonly #subjects = new Map<string, number[]>();
  readonly #server: Server;

  private constructor(
    server: Server,
    private readonly scheme: "http" | "https",
  ) {
    this.#server = server;
  }

  /** With key and certificate in PEM: over TLS. */
  static async start(tls: { readonly key: string; readonly cert: string } | null = null): Promise<RegistryServer> {
    const onRequest: RequestListener = (request, response) => {
      void read(request).then((body) => {
        const answer = registry.#answer(request, body);
        if (answer === "hang") return;
        response.writeHead(answer.status, { "content-type": "application/vnd.schemaregistry.v1+json", ...answer.headers });
        response.end(answer.body);
      });
    };
    const server = tls === null ? createServer(onRequest) : createTlsServer(tls, onRequest);
    const registry = new RegistryServer(server, tls === null ? "http" : "https");
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the registry does not listen");
    return `${this.scheme}://127.0.0.1:${address.port}`;
  }

  subjects(): readonly string[] {
    return [...this.#subjects.keys()].sort();
  }

  /** As after a reset of its storage: numbers begin anew. */
  forget(): void {
    this.#schemas.clear();
    this.#subjects.clear();
    this.#schemas.set(1, JSON.stringify({ type: "record", name: "Theirs", fields: [{ name: "a", type: "long" }] }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, body: string): Answer | "hang" {
    const method = request.method ?? "";
    const path = request.url ?? "";
    this.requests.push(`${method} ${path}`);
    const instead = this.intercept({ method, path });
    if (instead !== null) return instead;
    if (this.authorization !== null && request.headers.authorization !== this.authorization) return fault(401, 401, "Unauthorized");
    const byId = /^\/schemas\/ids\/(\d+)$/.exec(path);
    if (method === "GET" && byId !== null) return this.#schema(Number(byId[1]));
    const versions = /^\/subjects\/([^/]+)\/versions$/.exec(path);
    if (method === "POST" && versions !== null) return this.#register(decodeURIComponent(versions[1] ?? ""), body);
    return fault(404, 404, "HTTP 404 Not Found");
  }

  #schema(id: number): Answer {
    const schema = this.#schemas.get(id);
    return schema === undefined ? fault(404, 40403, "Schema not found") : { status: 200, body: JSON.stringify({ schema }) };
  }

  #register(subject: string, body: string): Answer {
    const { schema } = JSON.parse(body) as { schema: string };
    try {
      avsc.Type.forSchema(JSON.parse(schema), { wrapUnions: true });
    } catch (error) {
      return fault(422, 42201, `Invalid schema: ${String(error)}`);
    }
    const known = [...this.#schemas].find(([, text]) => text === schema)?.[0];
    const id = known ?? this.#schemas.size * 2 + 1;
    this.#schemas.set(id, schema);
    this.#subjects.set(subject, [...(this.#subjects.get(subject) ?? []), id]);
    return { status: 200, body: JSON.stringify({ id }) };
  }
}

export function fault(status: number, code: number, message: string): Answer {
  return { status, body: JSON.stringify({ error_code: code, message }) };
}

async function read(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString("utf8");
}
