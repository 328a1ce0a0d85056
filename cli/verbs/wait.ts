import { TailraceError } from "../../core/errors.js";
import type { Verb } from "../invocation.js";

export const verb: Verb = () => Promise.reject(new TailraceError("not-yet", { what: "`tailrace wait` is not wired yet" }));
