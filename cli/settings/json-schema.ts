/** The declaration as JSON Schema: shipped for editors, and walked to name the known keys at a place. */
import { z } from "zod";
import { declaration } from "./declaration.js";
import type { Path } from "./read-yaml.js";

export interface JsonSchema {
  readonly [name: string]: unknown;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

export function settingsJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(declaration, {
    io: "input",
    unrepresentable: "any",
    // Our own marks are for our documents; an editor would call them unknown keywords.
    override: ({ jsonSchema }) => {
      const marks = jsonSchema as Record<string, unknown>;
      if (typeof marks["example"] === "string") marks["examples"] = [marks["example"]];
    },
  }) as JsonSchema;
  return { title: "Settings of a Tailrace pipeline (tailrace.yaml)", ...schema };
}

/** The schema as it is shipped: without marks of our own. */
export function publishedJsonSchema(): string {
  const shipped = JSON.parse(
    JSON.stringify(settingsJsonSchema(), (key, value: unknown) => (key === "secret" || key === "example" ? undefined : value)),
  ) as unknown;
  return `${JSON.stringify(shipped, null, 2)}\n`;
}

const variants = (schema: JsonSchema): readonly JsonSchema[] => {
  const branches = schema.anyOf ?? schema.oneOf;
  return branches === undefined ? [schema] : branches.flatMap(variants);
};

/** All schemas that may stand at a path. */
export function schemasAt(schema: JsonSchema, path: Path): readonly JsonSchema[] {
  let here = variants(schema);
  for (const part of path) {
    here = here.flatMap((one) => {
      if (typeof part === "number") return one.items === undefined ? [] : variants(one.items);
      const property = Object.hasOwn(one.properties ?? {}, part) ? one.properties?.[part] : undefined;
      if (property !== undefined) return variants(property);
      return typeof one.additionalProperties === "object" ? variants(one.additionalProperties) : [];
    });
  }
  return here;
}

export const knownKeysAt = (schema: JsonSchema, path: Path): readonly string[] => [
  ...new Set(schemasAt(schema, path).flatMap((one) => Object.keys(one.properties ?? {}))),
];

/** Whether the value at a path must be masked. The last part's own schema carries the mark. */
export function isSecretAt(schema: JsonSchema, path: Path): boolean {
  const last = path.at(-1);
  if (last === undefined) return false;
  return schemasAt(schema, path.slice(0, -1)).some(
    (one) => typeof last === "string" && Object.hasOwn(one.properties ?? {}, last) && one.properties?.[last]?.["secret"] === true,
  );
}
