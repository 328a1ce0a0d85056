/** Rows of one range: a range is one short read on each side, and the finest thing that a digest proves. */
export const defaultRowsPerScope = 4_096;
