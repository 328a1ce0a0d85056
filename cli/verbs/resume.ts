import type { Verb } from "../invocation.js";
import { setPaused } from "./pause.js";

export const verb: Verb = (invocation) => setPaused(invocation, false);
