/**
 * Which partitions the next request asks for.
 *
 * A broker answers the requests of one connection in turn, and one that finds nothing waits for its time to pass. So a request for partitions
 * that have nothing to give must not go out while another partition has more: that one's next request would wait behind it. Partitions
 * without news are asked for together with the ones that have some, whose data end the waiting at once.
 */
export interface FetchState {
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
  const wanted = slots.filter((slot) => !slot.paused && !slot.aboveEnd);
  const free = wanted.filter((slot) => slot.request === null && !isFull(slot));
  // Whether an answer is empty because of the limits of the whole request is only known when the partition is asked for alone.
  const doubtful = free.find(({ emptyAnswers }) => emptyAnswers > 0);
  if (doubtful !== undefined) return [doubtful];
  // One that has more and is not free is on its way or full; when it is free again, all go together.
  return free.some(hasMore) || !wanted.some(hasMore) ? free : [];
}

const hasMore = ({ position, end }: FetchState): boolean => position < end;
