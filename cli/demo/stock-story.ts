/** The story of `demo --source duckdb`: stock of some shops in a DuckDB file that its application keeps open for writing. */
import { fileURLToPath } from "node:url";
import { plural } from "../output/format.js";
import { compareStock } from "./compare-stock.js";
import { createStock, pieces } from "./stock-database.js";
import type { Story } from "./story.js";

export const stockStory: Story = {
  title: "Tailrace demo: a live DuckDB inventory moves to PostgreSQL while its application keeps writing",
  file: "stock.duckdb",
  settings: "source: { kind: duckdb, path: ./stock.duckdb, memoryMb: 300, pollMs: 50 }\n",
  perSecond: 20,
  sum: { name: "pieces in stock", sql: "SELECT sum(pieces)::text AS sum FROM public.stock", always: String(pieces) },
  numbered: "movements",
  tampering: {
    said: "somebody adds a piece to one movement, at the target, behind everybody's back",
    sql: "UPDATE public.movements SET pieces = pieces + 1 WHERE id = (SELECT min(id) FROM public.movements)",
  },
  switches: false,
  create: async (path, sales) => `${plural(await createStock(path, sales), "row")} in 5 tables, one of them without a key`,
  program: fileURLToPath(new URL("./stock-application.js", import.meta.url)),
  does: "pieces move between shops, sales come in bulk, prices change, checkpoints are made",
  compare: compareStock,
};
