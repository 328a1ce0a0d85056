/** The table whose work is counted: as in bench/, 8 columns and about 115 bytes a row. */
import type { Change } from "../../core/contracts/change.js";
import { position } from "../../core/vocabulary/position.js";
import type { Row } from "../../core/vocabulary/value.js";
import { describeTable } from "../support/synthetic-window.js";

export const orders = describeTable(
  "orders",
  {
    id: "integer",
    customer_id: "integer",
    sku: "text",
    qty: "integer",
    price: "real",
    status: "text",
    updated_at: "integer",
    note: "text",
  },
  ["id"],
);

const words = "amber birch coral delta ember fjord grove hazel";

export const orderRow = (id: number, version = 0): Row => [
  BigInt(id),
  BigInt((id * 7_919) % 100_000),
  `SKU-${String(id).padStart(7, "0")}`,
  BigInt(version + 1),
  (id % 10_000) + 0.25,
  "shipped",
  1_760_000_000_000_000n + BigInt(id),
  words,
];

/** 70 / 20 / 10 update, insert, delete of different rows among `rows`, from this order on. */
export function mixedChanges(n: number, rows: number, order: number): readonly Change[] {
  return Array.from({ length: n }, (_, i): Change => {
    const at = position(0, order + i);
    const dice = i % 10;
    if (dice < 7) return { kind: "update", at, key: [BigInt(i + 1)], after: orderRow(i + 1, 1) };
    if (dice < 9) return { kind: "create", at, key: [BigInt(rows + i)], after: orderRow(rows + i) };
    return { kind: "delete", at, key: [BigInt(i + 1)], before: null };
  });
}
