/** The story of `demo`: a shop on SQLite. */
import { fileURLToPath } from "node:url";
import { plural } from "../output/format.js";
import { compareShop } from "./compare.js";
import { createShop, wealth } from "./shop-database.js";
import type { Story } from "./story.js";

export const shopStory: Story = {
  title: "Tailrace demo: a live SQLite shop moves to PostgreSQL while its application keeps writing",
  file: "shop.db",
  settings: "source: { kind: sqlite, path: ./shop.db }\n",
  perSecond: 250,
  sum: { name: "balances", sql: "SELECT sum(balance)::text AS sum FROM public.customers", always: String(wealth) },
  numbered: "transfers",
  tampering: {
    said: "somebody adds a cent to one transfer, at the target, behind everybody's back",
    sql: "UPDATE public.transfers SET cents = cents + 1 WHERE id = (SELECT min(id) FROM public.transfers)",
  },
  switches: true,
  create: (path, orders) => Promise.resolve(`${plural(createShop(path, orders), "row")} in 5 tables, WAL mode`),
  program: fileURLToPath(new URL("./shop-application.js", import.meta.url)),
  does: "money moves, keys change, rows are replaced",
  compare: compareShop,
};
