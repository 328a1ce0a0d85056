import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { areas, elsewhere } from "./areas.js";
import { faultsPage } from "./faults-page.js";

it("docs/faults.md is what the suites run (`-u` writes it)", async () => {
  await expect(faultsPage()).toMatchFileSnapshot("../../../docs/faults.md");
});

it("every test that it names is there, and no fault stands there twice", () => {
  expect([...areas, ...elsewhere].map(({ test }) => test).filter((test) => !existsSync(test))).toEqual([]);
  const faults = areas.flatMap(({ cases }) => cases.map(({ fault }) => fault));
  expect(faults.filter((fault, i) => faults.indexOf(fault) !== i)).toEqual([]);
});
