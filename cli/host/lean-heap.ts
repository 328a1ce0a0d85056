/**
 * How far a role's heap grows before the collector goes through all of it. Left alone it grows to up to four times what is in use, and with it what the
 * heap keeps alive outside: a role that holds 20 MiB of records takes 260 of the machine. Half as much again is enough: the collector then comes two or
 * three times as often, works beside the loop for the most part, and takes about 1 µs per change (docs/performance.md, "Memory").
 *
 * Set here and not on the command line, since a role is also started by hand, by systemd and in a container. The runtime reads it at each collection.
 */
import { setFlagsFromString } from "node:v8";

const growthPercent = 50;

export const keepHeapLean = (): void => setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
