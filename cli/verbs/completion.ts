import { exits } from "../exit-codes.js";
import { usage, type Verb } from "../invocation.js";
import { buildProgram } from "../program.js";

/** A small script that completes verbs and their flags, made from the program itself. */
export const verb: Verb = ({ words, out }) => {
  const shell = words[0] ?? "";
  const write = { bash, zsh, fish }[shell];
  if (write === undefined) throw usage(`completion knows bash, zsh and fish, not '${shell}'`);
  out.streams.stdout.write(write(verbsOf()));
  return Promise.resolve(exits.done);
};

interface VerbWords {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly string[];
}

function verbsOf(): readonly VerbWords[] {
  const program = buildProgram(() => {});
  const globals = program.options.map((option) => option.long ?? "").filter((flag) => flag !== "");
  return program.commands
    .filter((command) => !command.description().startsWith("(comes with"))
    .map((command) => ({
      name: command.name(),
      description: command.description(),
      flags: [...command.options.map((option) => option.long ?? ""), ...globals],
    }));
}

function bash(verbs: readonly VerbWords[]): string {
  const cases = verbs.map(({ name, flags }) => `    ${name}) COMPREPLY=($(compgen -W "${flags.join(" ")}" -- "$word")) ;;`).join("\n");
  return `# tailrace completion bash > /etc/bash_completion.d/tailrace
_tailrace() {
  local word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map(({ name }) => name).join(" ")}" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases}
  esac
}
complete -o default -F _tailrace tailrace
`;
}

function zsh(verbs: readonly VerbWords[]): string {
  const lines = verbs.map(({ name, description }) => `    '${name}:${description.replaceAll("'", "").replaceAll(":", " -")}'`).join("\n");
  const cases = verbs.map(({ name, flags }) => `    ${name}) compadd -- ${flags.join(" ")}; _files ;;`).join("\n");
  return `#compdef tailrace
_tailrace() {
  local -a verbs
  verbs=(
${lines}
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  case "$words[2]" in
${cases}
  esac
}
compdef _tailrace tailrace
`;
}

function fish(verbs: readonly VerbWords[]): string {
  const lines = verbs.flatMap(({ name, description, flags }) => [
    `complete -c tailrace -n __fish_use_subcommand -a ${name} -d '${description.replaceAll("'", "")}'`,
    ...flags.map((flag) => `complete -c tailrace -n '__fish_seen_subcommand_from ${name}' -l ${flag.replace(/^--/, "")}`),
  ]);
  return `${lines.join("\n")}\n`;
}
