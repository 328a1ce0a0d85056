import { TailraceError } from "../../core/errors.js";
import type { Verb } from "../invocation.js";
import { laterVerbs } from "../later-verbs.js";

/** Names that are fixed and whose capability is not built: said plainly, so that no script believes that it has run. */
export const verb: Verb = ({ words }) => {
  const name = words[0] ?? "";
  const comes = laterVerbs.find(([later]) => later === name)?.[1] ?? "it";
  throw new TailraceError("not-yet", { what: `\`tailrace ${name}\` comes with a later version (${comes}); nothing was done` });
};
