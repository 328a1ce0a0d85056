import { printable } from "../../core/errors.js";
import type { Check, CheckSeverity } from "../doctor/check.js";
import { passed } from "../doctor/check.js";
import { pipelineChecks } from "../doctor/pipeline-checks.js";
import { sourceChecks } from "../doctor/source-checks.js";
import { exits } from "../exit-codes.js";
import type { Verb } from "../invocation.js";
import { plural } from "../output/format.js";
import type { Paint } from "../output/output.js";

export const verb: Verb = async (invocation) => {
  const { file, settings } = await invocation.settings();
  const { out, signal, options } = invocation;
  out.note(`checking pipeline ${settings.pipeline} ...`);
  const source = await sourceChecks(settings, signal);
  const rest = await pipelineChecks(settings, { census: options.flag("census"), onStep: (what) => out.event("step", { what }) }, signal);
  const unreadable = source.some(({ id, severity }) => id === "source.opens" && severity === "error");
  const checks = [
    passed({ id: "settings.valid", group: "settings", where: file }, `pipeline ${settings.pipeline}`),
    ...source,
    // The same error twice would look like two.
    ...rest.filter(({ id }) => !(unreadable && id === "data.census")),
  ];
  const errors = checks.filter(({ severity }) => severity === "error");
  const warnings = checks.filter(({ severity }) => severity === "warn");
  out.answer({
    kind: "Doctor",
    data: { pipeline: settings.pipeline, ok: errors.length === 0, errors: errors.length, warnings: warnings.length, checks },
    next:
      errors.length > 0
        ? errors.flatMap(({ code }) => (code === null ? [] : [`tailrace explain ${code}`])).slice(0, 1)
        : ["tailrace plan", "tailrace apply"],
    text: (paint) => [...checks.map((check) => line(check, paint)), "", sum(errors.length, warnings.length, paint)].join("\n"),
  });
  return errors.length > 0 ? exits.doctorError : exits.done;
};

function line(check: Check, paint: Paint): string {
  const marks: Readonly<Record<CheckSeverity, string>> = {
    ok: paint.green("ok   "),
    info: paint.dim("info "),
    warn: paint.yellow("warn "),
    error: paint.red("ERROR"),
  };
  const first = `${marks[check.severity]} ${check.id.padEnd(22)} ${printable(`${check.where}: ${check.what}`)}${check.code === null || check.severity === "info" ? "" : paint.dim(`  [${check.code}]`)}`;
  if (check.severity === "ok") return first;
  return [
    first,
    ...(check.why === "" ? [] : [`      ${paint.dim("why")} ${printable(check.why)}`]),
    `      ${paint.dim("fix")} ${printable(check.fix)}`,
  ].join("\n");
}

const sum = (errors: number, warnings: number, paint: Paint): string =>
  errors > 0
    ? `${paint.red(plural(errors, "error"))}, ${plural(warnings, "warning")}`
    : `${paint.green("no errors")}, ${plural(warnings, "warning")}`;
