import { TailraceError } from "../../core/errors.js";
import type { Verb } from "../invocation.js";

export const verb: Verb = () => Promise.reject(new TailraceError("not-yet", { what: "`tailrace apply` is not wired yet" }));
