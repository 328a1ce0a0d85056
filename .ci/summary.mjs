// Counts what vitest has reported. A failed check, a file that could not be run or prepared and a missing report are failures too.
import { readFileSync } from "node:fs";

const [file, check] = process.argv.slice(2);
let passed = 0;
let failed = check === "0" ? 0 : 1;
try {
  const report = JSON.parse(readFileSync(file, "utf8"));
  passed = report.numPassedTests;
  failed += report.numFailedTests;
  const broken = report.testResults.filter(
    (result) => result.status === "failed" && result.assertionResults.every((test) => test.status !== "failed"),
  );
  for (const result of broken) console.log(`could not be run: ${result.name} ${result.message ?? ""}`);
  failed += broken.length;
  const skipped = report.testResults
    .flatMap((result) => result.assertionResults)
    .filter((test) => test.status === "pending" || test.status === "skipped");
  for (const test of skipped) console.log(`skipped: ${test.fullName}`);
} catch (error) {
  console.log(`no report of the tests: ${error.message}`);
  failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
