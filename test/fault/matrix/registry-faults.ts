/** A schema registry that is away, slow, wrong or new. The client's own behaviour: test/schemas/registry-confluent.test.ts. */
import type { ErrorCode } from "../../../core/errors.js";
import { type Answer, fault, RegistryServer } from "../../support/registry.js";
import type { FaultArea, FaultCase, FaultGround } from "./fault-case.js";
import type { Ground } from "./ground.js";
import { type BrokerChain, brokerPassing, KafkaGround } from "./kafka-ground.js";

class RegistryGround implements FaultGround {
  static async make(chain: BrokerChain): Promise<RegistryGround> {
    const registry = await RegistryServer.start();
    return new RegistryGround(await KafkaGround.make(chain, { registry: registry.url }), registry);
  }

  private constructor(
    readonly kafka: KafkaGround,
    readonly registry: RegistryServer,
  ) {}

  get ground(): Ground {
    return this.kafka.ground;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registry.intercept = () => null;
    await this.kafka[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
  }
}

type Intercept = RegistryServer["intercept"];
const always =
  (answer: Answer | "hang"): Intercept =>
  () =>
    answer;

/** While both run every schema that is needed is known; new processes know none. */
function waitsFor(what: string, intercept: Intercept, long = false): FaultCase<RegistryGround> {
  return {
    fault: what,
    does: "what is known goes on; a service that starts waits, says so and goes on when it can",
    codes: ["registry.unavailable"],
    ...(long ? { long: true } : {}),
    run: async ({ ground, registry }) => {
      // Other tables may be new to the source.
      const known = "UPDATE account SET version = version";
      ground.sql(known);
      await ground.caughtUp();
      registry.intercept = intercept;
      ground.sql(known);
      await ground.caughtUp();
      await ground.stop("source");
      await ground.write(10);
      await ground.start("source");
      await ground.says("source", "registry.unavailable");
      registry.intercept = () => null;
    },
  };
}

function stopsAt(what: string, code: ErrorCode, intercept: Intercept): FaultCase<RegistryGround> {
  return {
    fault: what,
    does: "a service that starts stops with the registry's own words; once it is mended, starting again is enough",
    codes: [code],
    run: async ({ ground, registry }) => {
      await ground.stop("source");
      registry.intercept = intercept;
      await ground.write(10);
      await ground.start("source");
      await ground.stops("source", code);
      registry.intercept = () => null;
      await ground.start("source");
    },
  };
}

const cases: readonly FaultCase<RegistryGround>[] = [
  waitsFor("The registry answers 500", always(fault(500, 50001, "Error in the backend data store")), true),
  waitsFor("The registry accepts connections and never answers", always("hang"), true),
  stopsAt("The registry answers 401", "registry.refused", always(fault(401, 401, "Unauthorized"))),
  stopsAt("The registry finds a schema incompatible", "registry.refused", ({ method }) =>
    method === "POST" ? fault(409, 409, "Schema being registered is incompatible with an earlier schema") : null,
  ),
  {
    fault: "The registry gives the text of another schema for a number",
    does: "the sink stops in front of the record: no row is read by a schema that it was not written with",
    codes: ["log.garbage", "registry.unknown-schema"],
    run: async ({ ground, registry }) => {
      await ground.stop("sink");
      await ground.write(10);
      const other = JSON.stringify({ type: "record", name: "Other", fields: [{ name: "a", type: "long" }] });
      registry.intercept = ({ method }) => (method === "GET" ? { status: 200, body: JSON.stringify({ schema: other }) } : null);
      await ground.start("sink");
      await ground.stops("sink", "log.garbage");
      registry.intercept = () => null;
      await ground.start("sink");
    },
  },
  {
    fault: "The registry was reset and gives old numbers to other schemas",
    does: "running services go on by what they know; a sink that starts stops in front of the record",
    codes: ["log.garbage", "registry.unknown-schema"],
    ends: "stopped",
    run: async ({ ground, registry }) => {
      await ground.write();
      await ground.caughtUp();
      registry.forget();
      await ground.write(10);
      await ground.caughtUp();
      await ground.stop("sink");
      await ground.write(10);
      await ground.start("sink");
      await ground.stops("sink", "log.garbage", "registry.unknown-schema");
    },
  },
];

export const registryFaults = (chain: () => Promise<BrokerChain>): FaultArea<RegistryGround> => ({
  title: "Schema registry",
  test: "test/fault/matrix/kafka.test.ts",
  passing: brokerPassing,
  cases,
  make: async () => RegistryGround.make(await chain()),
});
