/** The target that the settings mean, for as long as a verb needs it: the one at the URL, or the embedded one, started when nobody has. */
import { connectTarget } from "../../connectors/postgres/connect.js";
import { startEmbeddedPostgres } from "../../connectors/postgres/embedded.js";
import type { Target } from "../../core/contracts/target.js";
import type { Secret } from "../../core/secret.js";
import type { Settings } from "../../core/settings.js";
import { embeddedDirectory } from "./places.js";

/** A place to connect to; disposing it leaves the embedded server to the others. */
export interface TargetPlace extends AsyncDisposable {
  readonly url: Secret;
  readonly embedded: boolean;
}

export async function holdTargetPlace(settings: Settings): Promise<TargetPlace> {
  const { url } = settings.target;
  if (url !== null) return { url, embedded: false, [Symbol.asyncDispose]: () => Promise.resolve() };
  const server = await startEmbeddedPostgres({ directory: embeddedDirectory(settings) });
  return { url: server.url, embedded: true, [Symbol.asyncDispose]: () => server.stop() };
}

export async function withTarget<T>(
  settings: Settings,
  signal: AbortSignal,
  work: (target: Target, place: TargetPlace) => Promise<T>,
): Promise<T> {
  await using place = await holdTargetPlace(settings);
  await using target = await connectTarget({ url: place.url, pipeline: settings.pipeline }, signal);
  return await work(target, place);
}
