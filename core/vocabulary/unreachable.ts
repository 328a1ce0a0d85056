/** Ends every switch over a union: the compiler refuses a forgotten variant, and a value from outside stops the program. */
export function unreachable(x: never): never {
  throw new Error(`unreachable variant: ${JSON.stringify(x)}`);
}
