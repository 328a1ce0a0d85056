/**
 * Which partitions the next request asks for.
 *
 * A broker answers the requests of one connection in turn, and one that finds nothing waits for its time to pass. Two requests on their way
 * would stand in each other's way for good: each answer leads to the next request for the same partitions, and whichever has no news holds up the
 * other. So there is one at a time for each broker, and it asks for everything. It does not go out while a partition has more than the consumer
 * has taken: that one's next request would wait behind it. Together with news, partitions without are asked for at no price.
 */
export interface FetchState {
  /** As of the last fetch; null: not fetched yet. */
  readonly leader: number | null;
  /** Of the next fetch. */
  readonly position: number;
  /** The partition's end, as far as is known. */
  readonly end: number;
  /** The request that it is part of. */
  readonly request: object | null;
  readonly paused: boolean;
  readonly aboveEnd: boolean;
  readonly emptyAnswers: number;
}

export function partitionsToFetch<S extends FetchState>(slots: readonly S[], isFull: (slot: S) => boolean): readonly S[] {
  const byLeader = new Map<number | null, S[]>();
  for (const slot of slots) byLeader.set(slot.leader, [...(byLeader.get(slot.leader) ?? []), slot]);
  return [...byLeader.values()].flatMap((led) => ofOneBroker(led, isFull));
}

function ofOneBroker<S extends FetchState>(slots: readonly S[], isFull: (slot: S) => boolean): readonly S[] {
  if (slots.some(({ request }) => request !== null)) return [];
  const wanted = slots.filter((slot) => !slot.paused && !slot.aboveEnd);
  const free = wanted.filter((slot) => !isFull(slot));
  // Whether an answer is empty because of the limits of the whole request is only known when the partition is asked for alone.
  const doubtful = free.find(({ emptyAnswers }) => emptyAnswers > 0);
  if (doubtful !== undefined) return [doubtful];
  return free.some(hasMore) || !wanted.some(hasMore) ? free : [];
}

const hasMore = ({ position, end }: FetchState): boolean => position < end;
