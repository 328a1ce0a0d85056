/**
 * Property tests take a new seed each time, and print it when they fail. `TAILRACE_SEED` (an integer) gives all of them the same: a gate must give
 * the same answer to the same code, and a failure is seen again.
 */
import fc from "fast-check";

const seed = process.env["TAILRACE_SEED"];
if (seed !== undefined) fc.configureGlobal({ seed: Number(seed) });
