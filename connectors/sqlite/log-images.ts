/** The last image that the capture log holds of some rows, in a range of it. */
import type { KeyedRow, RowName, RowThen } from "../../core/contracts/row-reader.js";
import type { TargetText } from "../../core/mapping/hashed-row.js";
import { keyOf } from "../../core/vocabulary/table.js";
import type { Key, Row } from "../../core/vocabulary/value.js";
import type { LogReader } from "./log-reader.js";
import type { ReadTable } from "./readable-tables.js";

const pageLimits = { rows: 2_000, bytes: 2 << 20 };

export class LogImages {
  readonly #wanted: ReadonlySet<string>;
  readonly #last = new Map<string, Row | "absent" | "unknown">();

  constructor(rows: readonly RowName[]) {
    this.#wanted = new Set(rows.map(({ id }) => id));
  }

  /** Legal in a read transaction. Answers how far it came. */
  read(log: LogReader, { number, description, names }: ReadTable, range: { readonly after: number; readonly upTo: number }): number {
    const { rows } = log.pageOf(number, range, pageLimits);
    const note = (key: Key, image: Row | "absent" | "unknown"): void => {
      const id = names.ofSource(key);
      if (this.#wanted.has(id)) this.#last.set(id, image);
    };
    for (const row of rows) {
      if (row.op === "M" || row.op === "S") continue;
      switch (row.op) {
        case "I":
          note(keyOf(description, row.row), row.row);
          break;
        case "U":
          note(row.from, "absent");
          note(keyOf(description, row.row), row.row);
          break;
        case "D":
          note(keyOf(description, row.row), "absent");
          break;
        case "R":
          // Perhaps pushed out, perhaps not: the batch that S ends knows, the log alone does not.
          note(row.key, "unknown");
          break;
        case "T":
          break;
      }
    }
    return rows.at(-1)?.seq ?? range.upTo;
  }

  async answer(it: ReadTable, ask: TargetText, signal: AbortSignal): Promise<ReadonlyMap<string, RowThen>> {
    const ids = [...this.#last.keys()];
    const images = ids.map((id) => this.#last.get(id) ?? "unknown");
    const hashed = await it.hashed.rows(
      images.filter((image) => typeof image !== "string"),
      ask,
      signal,
    );
    let next = 0;
    const answers = ids.map((id, i): readonly [string, RowThen] => {
      const image = images[i] ?? "unknown";
      if (typeof image === "string") return [id, { kind: image }];
      const name = { id, key: keyOf(it.description, image) };
      const row = hashed[next++];
      if (row === undefined) throw new Error("a row was asked for and none came back");
      return [id, (row.kind === "row" ? { kind: "row", ...name, row: row.row } : { ...row, ...name }) satisfies KeyedRow];
    });
    return new Map(answers);
  }
}
