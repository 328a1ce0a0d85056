/**
 * What the catalogue says of an error: what may be done about it by itself (verdict) and what a person does (remedy).
 *
 * retry     transient: the service starts its session again, with rising delay
 * stand-by  somebody else holds the place: wait and ask again, disturb nothing
 * undecided an answer was lost: ask the store what happened, then go on
 * stop      a person is needed; the service keeps its place and says so
 */
export type Verdict = "retry" | "stand-by" | "undecided" | "stop";

export interface CatalogueEntry {
  readonly verdict: Verdict;
  readonly cause: string;
  readonly remedy: string;
}
