import { hostileTables, hostileTransaction, seeded, youngTriggers } from "../../support/hostile-workload.js";
import { SourceFile } from "../../support/sqlite.js";
import { describeSource } from "../../contracts/source-contract.js";

const small = {
  whole: { rows: 20, bytes: 10_000 },
  page: { rows: 10, bytes: 5_000 },
  chunks: { chunk: { rows: 5, bytes: 5_000 }, batch: { rows: 12, bytes: 10_000 }, hasTime: () => () => true },
};

for (const [name, options] of [
  ["sqlite", {}],
  ["sqlite by tiny chunks and pages", { limits: small }],
] as const) {
  describeSource(name, async () => {
    const file = await SourceFile.of(hostileTables, { install: false });
    file.application().exec(youngTriggers);
    const random = seeded(5);
    for (let i = 0; i < 200; i++) hostileTransaction(file.application(), random);
    await file.install();
    return {
      open: () => file.open(options),
      write: (step) => {
        const r = seeded(step + 1);
        for (let i = 0; i < 5; i++) hostileTransaction(file.application(), r);
        file.application().prepare("INSERT INTO p VALUES (NULL, ?)").run(BigInt(step));
      },
      catchUp: (follower) => follower.catchUp(file.newestSeq()),
      countsAtOnce: true,
      rows: (table) => file.rows(table),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  });
}
