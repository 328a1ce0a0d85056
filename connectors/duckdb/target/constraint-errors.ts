/** What DuckDB says of a constraint, as ours: by its name, never with the values that its message has. */
import { TailraceError } from "../../../core/errors.js";
import type { ListedConstraint, ListedSchema } from "../inspect/schema.js";
import { placeOf } from "../inspect/schema.js";
import { tableName } from "../duck-table.js";

/** Of an error that `Database` has thrown. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause.message : "";

export const isForeignKey = (thrown: unknown): boolean => /^Constraint Error: Violates foreign key constraint/.test(messageOf(thrown));

/** What the statement about a table ended in; anything but a broken constraint stays what it is. */
export function constraintError(thrown: unknown, table: Named, schema: ListedSchema): unknown {
  const message = messageOf(thrown);
  if (!message.startsWith("Constraint Error")) return thrown;
  const constraint = nameOf(message, table, schema);
  return new TailraceError("target.constraint", {
    what: `A constraint of the file refuses a row: ${constraint}`,
    where: { table: tableName(table.schema, table.name), constraint },
  });
}

interface Named {
  readonly schema: string;
  readonly name: string;
}

function nameOf(message: string, table: Named, schema: ListedSchema): string {
  const own = schema.constraints.get(placeOf(table.schema, table.name)) ?? [];
  const name = tableName(table.schema, table.name);
  const quoted = /key "(.*)/s.exec(message)?.[1] ?? "";
  const begins = (columns: readonly string[]): boolean => quoted.startsWith(`${columns[0] ?? ""}: `);
  if (/violates (?:unique|primary key) constraint/.test(message)) {
    const unique = own.find(({ kind, columns }) => (kind === "UNIQUE" || kind === "PRIMARY KEY") && begins(columns));
    return `${name}.${unique?.columns.join(", ") ?? "?"}`;
  }
  // Two rows of one statement: only the value is said, and a key of ours is never there twice.
  if (message.includes("UNIQUE constraint violation")) {
    const uniques = own.filter(({ kind }) => kind === "UNIQUE").map(({ columns }) => columns.join(", "));
    return uniques.length === 0 ? `a unique index of ${name}` : `${name}.${uniques.join(" or ")}`;
  }
  if (message.includes("does not exist in the referenced table")) {
    const reference = own.find(({ kind, parentColumns }) => kind === "FOREIGN KEY" && begins(parentColumns));
    return reference === undefined ? `a foreign key of ${name}` : referenceName(name, reference);
  }
  if (message.includes("still referenced")) {
    for (const [place, constraints] of schema.constraints) {
      const found = constraints.find(({ kind, parent, columns }) => kind === "FOREIGN KEY" && parent === table.name && begins(columns));
      const [child = ""] = (JSON.parse(place) as readonly string[]).slice(1);
      if (found !== undefined) return referenceName(child, found);
    }
    return `a foreign key to ${name}`;
  }
  return /(CHECK|NOT NULL) constraint failed[^\n]*/.exec(message)?.[0] ?? `a constraint of ${name}`;
}

export const referenceName = (child: string, { columns, parent, parentColumns }: ListedConstraint): string =>
  `${child}(${columns.join(", ")}) REFERENCES ${parent ?? "?"}(${parentColumns.join(", ")})`;
