/**
 * The inventory system under its own names: the first copy, an ETL's evening and an API's afternoon while it is verified, equality at the end.
 * TAILRACE_INVENTORY_ROWS says how many rows; the long run takes 2,000,000.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { answerOf, start, tailrace } from "../cli/command.js";
import { DuckDbApplication } from "../support/duckdb.js";
import { freePorts, portsOfPipeline } from "../support/ports.js";
import { freshDatabase, type TestDatabase } from "../support/postgres.js";

const rows = Number(process.env.TAILRACE_INVENTORY_ROWS ?? 4_000);
const [invoices, lines, movements] = [Math.floor(rows / 10), Math.floor(rows * 0.4), Math.floor(rows / 2)];
const products = Math.max(100, Math.floor(rows / 400));
const patience = `${Math.max(120, Math.floor(rows / 4_000))}s`;

let folder = "";
let database: TestDatabase;
let application: DuckDbApplication;
const ask = (...words: readonly string[]) => tailrace([...words, "--json", "-c", join(folder, "tailrace.yaml")], { cwd: folder });
async function done(...words: readonly string[]): Promise<Record<string, unknown>> {
  const ended = await ask(...words);
  expect(ended.code, `${words.join(" ")}: ${ended.stderr}${ended.stdout}`).toBe(0);
  return answerOf(ended);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "tailrace-inventory-"));
  database = await freshDatabase();
  application = await DuckDbApplication.start(join(folder, "fluxion_production.duckdb"));
  const [port = 0] = await freePorts(portsOfPipeline);
  writeFileSync(
    join(folder, "tailrace.yaml"),
    stringify({
      pipeline: "inventory",
      source: { kind: "duckdb", path: "./fluxion_production.duckdb", memoryMb: 512, pollMs: 20 },
      target: { url: database.url },
      http: { listen: `127.0.0.1:${port}` },
    }),
  );
});
afterEach(async () => {
  await application.kill();
  await database[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

const place = "CASE WHEN i % 23 < 19 THEN 'tienda_' || lpad((i % 23 + 1)::VARCHAR, 2, '0') ELSE 'cedi_0' || (i % 23 - 18) END";
const product = `'P' || lpad((hash(i) % ${products})::VARCHAR, 6, '0')`;

/** What the generator's table of distributions asks for, odd values included. */
async function fill(): Promise<void> {
  await application.run(readFileSync("test/systems/inventory-source.sql", "utf8"));
  await application.run(`
    INSERT INTO ubicaciones SELECT ${place}, 't' || i, 'Tienda ' || i, CASE WHEN i < 19 THEN 'tienda' ELSE 'cedi' END, NULL, true, i <> 22, TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-01' FROM range(23) AS r(i);
    INSERT INTO ubicaciones VALUES ('TIENDA_01', 'x1', 'dup', 'tienda', NULL, true, true, NULL, NULL), (' tienda_1', 'x2', 'space', 'tienda', NULL, NULL, NULL, NULL, NULL), ('tienda_99', 'x3', 'unknown', 'tienda', NULL, true, true, NULL, NULL);
    INSERT INTO categorias_config SELECT 'cat' || i, 'Categoría ' || i, i * 1.5, i, true FROM range(20) AS r(i);
    INSERT INTO proveedores SELECT 'prov' || i, 'Proveedor ' || i, NULL, 'tab\there', CASE WHEN i % 6 = 0 THEN NULL ELSE i % 5 + 1 END, true FROM range(10) AS r(i);
    INSERT INTO productos SELECT 'P' || lpad(i::VARCHAR, 6, '0'), 'C' || (i % 97), repeat('d', (i % 241)::INTEGER), NULL, 'cat' || (i % 20), chr((65 + i % 3)::INTEGER), i / 4, i / 5, i % 12 <> 0, TIMESTAMP '2024-01-01', NULL FROM range(${products}) AS r(i);
    INSERT INTO productos VALUES (repeat('largo', 12), 'C1', 'line
break \\N "q" ''s'' 💥', 'nul ' || chr(0) || ' inside', NULL, NULL, -1.005, NULL, NULL, TIMESTAMP '1970-01-01', TIMESTAMP '2099-12-31 23:59:59.999999');
    INSERT INTO producto_ubicacion_config SELECT DISTINCT ON (1, 2) ${product}, ${place}, 1.10, 99999999999999.99, 0, true FROM range(${products * 4}) AS r(i);
    INSERT INTO producto_proveedor_config SELECT 'P' || lpad(i::VARCHAR, 6, '0'), 'prov' || (i % 10), 5.25, 7, 1, false FROM range(${products}) AS r(i);
    INSERT INTO facturas SELECT 'F' || i, 'N' || i, DATE '2022-01-01' + (i % 1095)::INTEGER, CASE i % 50 WHEN 0 THEN NULL WHEN 1 THEN TIME '23:59:59.999999' ELSE TIME '10:00:00' END, ${place}, CASE WHEN i % 40 = 0 THEN NULL ELSE i / 8 END, TIMESTAMP '2024-01-01' FROM range(${invoices}) AS r(i);
    INSERT INTO items_facturas SELECT 'L' || i, 'F' || (i % ${invoices + 5}), CASE i % 500 WHEN 0 THEN DATE '1970-01-01' WHEN 1 THEN DATE '2099-12-31' ELSE DATE '2022-01-01' + (i % 1095)::INTEGER END, ${place}, ${product}, (i % 9 - 1)::DECIMAL(18,2), i / 3, i / 3 FROM range(${lines}) AS r(i);
    INSERT INTO movimientos_inventario SELECT 'M' || i, TIMESTAMP '2022-01-01' + to_seconds(i * 31), ${place}, CASE WHEN i % 300 = 0 THEN 'orphan' ELSE ${product} END, 'venta', -1.25, NULL, NULL FROM range(${movements}) AS r(i);
    INSERT INTO stock_actual SELECT DISTINCT ON (1, 2) ${place}, ${product}, CASE WHEN i % 20 = 0 THEN 0 WHEN i % 100 = 1 THEN -3 ELSE i % 50 END, i % 7 = 0, CASE WHEN i % 33 = 0 THEN DATE '2026-12-01' END, TIMESTAMP '2024-01-01' FROM range(${products * 4}) AS r(i);
    INSERT INTO conjuntos_sustituibles SELECT 'set' || i, 'Set ' || i, NULL, NULL, true FROM range(5) AS r(i);
    INSERT INTO productos_abc_v2_historico SELECT 'H' || i, 'C' || (i % 97), ${place}, 'A', 'X', i, DATE '2024-01-01' FROM range(${products}) AS r(i);
    INSERT INTO clasificacion_abc SELECT DISTINCT ON (1, 2) ${product}, ${place}, 'B', NULL FROM range(${products * 2}) AS r(i);
    INSERT INTO nivel_objetivo SELECT DISTINCT ON (1, 2) ${product}, ${place}, 10, 5, DATE '2024-01-01' FROM range(${products * 2}) AS r(i);
    INSERT INTO usuarios SELECT 'u' || i, CASE i WHEN 0 THEN 'Ana' WHEN 1 THEN 'ana' ELSE 'user' || i END, repeat('$2b$', 10), NULL, NULL, 'viewer', true, NULL, NULL FROM range(30) AS r(i);
    INSERT INTO pedidos_sugeridos SELECT 'S' || i, ${place}, ${product}, 2, 'borrador', DATE '2024-01-01', 'u1', NULL FROM range(50) AS r(i)`);
}

/** Half an hour of it, in the transactions that the application makes. */
async function live(n: number): Promise<void> {
  const period = Math.max(10, Math.floor(rows / 50));
  const from = 10_000_000 * (n + 1);
  await application.run(`
    BEGIN; UPDATE stock_actual SET cantidad = cantidad + ${n + 1}, fecha_actualizacion = TIMESTAMP '2025-01-01' + to_hours(${n}) WHERE hash(producto_id, ${n}) % 5 = 0;
    INSERT INTO facturas SELECT 'F' || i, 'N' || i, DATE '2025-06-01', TIME '00:00:00', ${place}, i / 8, TIMESTAMP '2025-01-01' FROM range(${from}, ${from + period}) AS r(i);
    INSERT INTO items_facturas SELECT 'L' || i, 'F' || i, DATE '2025-06-01', ${place}, ${product}, 1, 2, 2 FROM range(${from}, ${from + period * 4}) AS r(i);
    INSERT INTO movimientos_inventario SELECT 'M' || i, TIMESTAMP '2025-06-01', ${place}, ${product}, 'venta', -1, 'F' || i, NULL FROM range(${from}, ${from + period * 4}) AS r(i); COMMIT`);
  await application.run(`UPDATE productos SET abc_classification = chr((65 + (hash(id) + ${n}) % 3)::INTEGER)`);
  await application.run(`UPDATE nivel_objetivo SET nivel_objetivo = nivel_objetivo + 0.01`);
  await application.run(
    `UPDATE facturas SET fecha = fecha + 1 WHERE id = 'F${n + 3}'; UPDATE items_facturas SET fecha = fecha + 1 WHERE factura_id = 'F${n + 3}'`,
  );
  await application.run(
    `BEGIN; DELETE FROM items_facturas WHERE factura_id = 'F${n + 20}'; UPDATE stock_actual SET cantidad = cantidad + 1 WHERE ubicacion_id = 'tienda_05'; COMMIT`,
  );
  await application.run(
    `INSERT INTO pedidos_sugeridos VALUES ('new${n}', 'cedi_01', 'P000001', 3.5, 'borrador', DATE '2025-06-01', NULL, now()::TIMESTAMP); UPDATE pedidos_sugeridos SET estado = 'enviado' WHERE id = 'S${n}'`,
  );
  await application.run(
    `UPDATE usuarios SET ultimo_acceso = now()::TIMESTAMP WHERE id = 'u${n}'; INSERT INTO usuarios VALUES ('n${n}', 'new${n}', 'x', NULL, NULL, 'viewer', true, NULL, NULL); UPDATE ubicaciones SET visible_pedidos = NOT visible_pedidos WHERE id = 'cedi_02'`,
  );
  if (n % 2 === 1) await application.run("CHECKPOINT");
}

/** Of the run's processes, the most that each ever held. */
function memory(root: number): string {
  const found: string[] = [];
  const parents = new Set([root]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const name of readdirSync("/proc")) {
      try {
        if (!/^\d+$/.test(name) || parents.has(Number(name))) continue;
        const parent = Number(readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)?.split(" ")[1]);
        if (!parents.has(parent)) continue;
        parents.add(Number(name));
        grew = true;
        const kb = Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1] ?? 0);
        const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        const role = words.at(-2) ?? "";
        if (kb > 0) found.push(`${role === "compare" || role === "view" ? `engine (${role})` : role} ${Math.round(kb / 1024)} MiB`);
      } catch {
        // It ended while we looked.
      }
    }
  }
  return found.join(", ");
}

async function expectEqual(): Promise<void> {
  const sums: Readonly<Record<string, string>> = {
    facturas: "sum(total_usd)",
    items_facturas: "sum(cantidad)",
    stock_actual: "sum(cantidad)",
    nivel_objetivo: "sum(nivel_objetivo)",
    productos: "min(abc_classification)",
  };
  const tables = await application.run("SELECT table_name FROM duckdb_tables() WHERE database_name = 'app' ORDER BY 1");
  expect(tables.length).toBe(16);
  for (const [table] of tables) {
    if (typeof table !== "string") throw new Error("a name was asked for");
    const sum = sums[table] ?? "count(*)";
    const [there] = await application.run(`SELECT count(*)::VARCHAR, (${sum})::VARCHAR FROM ${table}`);
    const [here] = await database.query<{ n: string; s: string }>(`SELECT count(*)::text AS n, (${sum})::text AS s FROM ${table}`);
    expect([here?.n, here?.s], table).toEqual(there);
  }
}

test(`inventory with ${rows} rows: copied, followed and proven equal under its own names`, { timeout: 3_600_000 }, async () => {
  await fill();
  await done("apply");
  const startedMs = performance.now();
  const running = start(["run", "-c", join(folder, "tailrace.yaml")], { cwd: folder });
  await done("wait", "caught-up", "--timeout", patience);
  const copiedMs = performance.now() - startedMs;
  await expectEqual();
  for (let n = 0; n < 2; n++) await live(n);
  await done("wait", "caught-up", "--timeout", patience);
  await expectEqual();
  const writing = live(2).then(() => live(3));
  const verified = await done("verify", "run");
  await writing;
  expect(verified).toMatchObject({ outcome: "equal", different: 0, unsettled: 0, offsets: { findings: [] } });
  await done("wait", "caught-up", "--timeout", patience);
  expect(await done("verify", "run")).toMatchObject({ outcome: "equal", different: 0, unsettled: 0 });
  await expectEqual();
  console.log(
    `inventory: ${rows} rows copied in ${(copiedMs / 1000).toFixed(1)} s; verified in ${Number(verified.ms) / 1000} s while written to; ${memory(running.child.pid ?? 0)}`,
  );
  running.child.kill("SIGTERM");
  expect((await running.ended).code).toBe(0);
});
