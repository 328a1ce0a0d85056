/**
 * `target.url` taken apart by ourselves, so that what it says about TLS is exactly what happens.
 *
 *   no sslmode       off for a socket or a loopback address, else verify-full
 *   disable          no TLS
 *   require          as verify-full: encryption to an unknown server protects nothing (libpq would not check here; we do)
 *   verify-ca        the certificate must be signed by the CA; its name is not compared
 *   verify-full      signed by the CA, and for this host
 *   sslrootcert      file with the CA's certificates, PEM; without it the CAs that Node.js trusts
 *   sslcert, sslkey  files with a client certificate and its key, PEM
 *
 * `allow` and `prefer` may fall back to plain text and are refused, as is every parameter that we do not know.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import tls, { type ConnectionOptions, type PeerCertificate } from "node:tls";
import { TailraceError } from "../../core/errors.js";

export interface ConnectionSettings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  readonly ssl: false | ConnectionOptions;
  readonly connectTimeoutMs: number;
  /** How long a statement waits for somebody else's lock before the window is given back and tried again. */
  readonly lockTimeoutMs: number;
}

const known = new Set(["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "connect_timeout", "application_name"]);

export function parseConnectionUrl(url: string): ConnectionSettings {
  const parsed = parse(url);
  const parameters = parsed.searchParams;
  for (const name of parameters.keys()) {
    if (!known.has(name)) throw refused(`target.url says '${name}', which is not understood (known: ${[...known].join(", ")})`);
  }
  const host = parameters.get("host") ?? (decodeURIComponent(parsed.hostname.replace(/^\[(.*)\]$/, "$1")) || "localhost");
  const user = decodeURIComponent(parsed.username);
  if (user === "") throw refused("target.url names no user");
  return {
    host,
    port: parsed.port === "" ? 5432 : Number(parsed.port),
    user,
    password: parsed.password === "" ? undefined : decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)) || user,
    ssl: tlsFor(host, parameters),
    lockTimeoutMs: 10_000,
    connectTimeoutMs: 1_000 * (Number(parameters.get("connect_timeout")) || 10),
  };
}

function parse(url: string): URL {
  // The URL holds a password: what is wrong with it is said without it.
  if (!/^postgres(ql)?:\/\//.test(url)) throw refused("target.url does not begin with postgresql://");
  try {
    // `user@/database?host=/socket`, as libpq writes it: our URL parser wants a host where there is a user.
    return new URL(url.replace(/^([a-z]+:\/\/[^/?#]*@)(?=[/?]|$)/, "$1localhost"));
  } catch {
    throw refused("target.url is not a URL (special characters in user or password must be percent-encoded)");
  }
}

function tlsFor(host: string, parameters: URLSearchParams): false | ConnectionOptions {
  const mode = parameters.get("sslmode") ?? (isLocal(host) ? "disable" : "verify-full");
  switch (mode) {
    case "disable":
      return false;
    case "require":
    case "verify-full":
      return { ...certificates(parameters), rejectUnauthorized: true, checkServerIdentity: identityOf(host), ...serverName(host) };
    case "verify-ca":
      return { ...certificates(parameters), rejectUnauthorized: true, checkServerIdentity: () => undefined, ...serverName(host) };
    default:
      throw new TailraceError("target.tls", {
        what: `sslmode=${mode} is refused: say disable, verify-ca or verify-full (require means verify-full)`,
        where: { host },
      });
  }
}

/** Compared with the host that we were told, also when it is an address: over a socket that is already open Node.js would not know it. */
const identityOf =
  (host: string) =>
  (_: string, certificate: PeerCertificate): Error | undefined =>
    tls.checkServerIdentity(host, certificate);

const serverName = (host: string): { servername?: string } => (isIP(host) === 0 && !host.startsWith("/") ? { servername: host } : {});

function certificates(parameters: URLSearchParams): Pick<ConnectionOptions, "ca" | "cert" | "key"> {
  const read = (parameter: string): string | null => {
    const path = parameters.get(parameter);
    if (path === null) return null;
    try {
      return readFileSync(path, "utf8");
    } catch (cause) {
      throw new TailraceError("target.tls", { what: `The file of ${parameter} cannot be read`, where: { path }, cause });
    }
  };
  const [ca, cert, key] = [read("sslrootcert"), read("sslcert"), read("sslkey")];
  return { ...(ca === null ? {} : { ca }), ...(cert === null ? {} : { cert }), ...(key === null ? {} : { key }) };
}

const isLocal = (host: string): boolean =>
  host === "localhost" || host === "::1" || host.startsWith("/") || (isIP(host) === 4 && host.startsWith("127."));

const refused = (what: string): TailraceError => new TailraceError("settings.refused", { what });
