export interface Random {
  next(): number;
  /** 0 … n-1 */
  below(n: number): number;
  /** Both ends included. */
  between(from: number, to: number): number;
  chance(p: number): boolean;
  pick<T>(list: readonly T[]): T;
}
export function randomOf(seed: number): Random;
