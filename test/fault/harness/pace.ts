/**
 * How fast the hostile application writes: about 5,000 rows a second, big transactions included. Without a limit it commits several times of what
 * any target on the same two cores can take, and a run would measure how long a backlog lasts.
 */
export const fullSpeed = 400;
export const bigRows = 2_000;
