/** Debezium's headers on the two halves of a key change. Their value is the other key as on the wire, frame and all. */
export const newKeyHeader = "__debezium.newkey";
export const oldKeyHeader = "__debezium.oldkey";
