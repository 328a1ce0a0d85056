/** O6: waits for a condition, not for time. The bound only says when hope ends. */
import { setTimeout as pause } from "node:timers/promises";

export async function until(condition: () => boolean | Promise<boolean>, withinMs: number, otherwise: () => string): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(otherwise());
    await pause(25);
  }
}
