/** An error of a run as text; one that was thrown while another was on its way hides neither. */
export function whatWentWrong(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { error: later, suppressed } = error as { error?: unknown; suppressed?: unknown };
  if (suppressed !== undefined) return `${whatWentWrong(suppressed)}\nand then: ${whatWentWrong(later)}`;
  return error.message === "" ? (error.stack ?? error.name) : error.message;
}
