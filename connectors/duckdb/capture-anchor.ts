/** Which memory of ours an order belongs to: after a loss of it, or a return to an older one, the same order names something else. */
import { type Anchor, anchor } from "../../core/vocabulary/ids.js";

export const makeAnchor = (stateId: string): Anchor => anchor(Buffer.from(stateId, "utf8"));
export const stateOf = (it: Anchor): string => Buffer.from(it).toString("utf8");
