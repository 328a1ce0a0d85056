/**
 * The text of a view, as DuckDB stores it, in PostgreSQL's words. Nothing is guessed: a word, a function or an operator that is not known to mean the
 * same on both sides is the reason why a view is left out. What it reads is kept apart, since tables may have other names at the target.
 */
import type { ViewPart } from "../../../core/contracts/source.js";
import type { TableId } from "../../../core/vocabulary/ids.js";
import { quoteName } from "../duck-table.js";

export type Translated =
  | { readonly kind: "translated"; readonly parts: readonly ViewPart[] }
  | { readonly kind: "left-out"; readonly why: string };

export interface KnownNames {
  /** Of all tables. */
  readonly columns: readonly string[];
  /** By what a view may call them, folded. */
  readonly tables: ReadonlyMap<string, TableId>;
  readonly views: ReadonlySet<string>;
}

type Token =
  | { readonly kind: "word" | "name" | "text" | "number" | "sign"; readonly said: string }
  /** Already in PostgreSQL's words. */
  | { readonly kind: "done"; readonly said: string };

class LeftOut extends Error {}

export function translateView(sql: string, known: KnownNames): Translated {
  try {
    const body = /^CREATE (?:OR REPLACE )?VIEW [^(]*? AS (?=SELECT|WITH)/i.exec(sql);
    if (body === null) throw new LeftOut("it names its columns, or is not a query");
    const tokens = withoutCasts(withIntervals(tokensOf(sql.slice(body[0].length).replace(/;\s*$/, ""))));
    return { kind: "translated", parts: new Translation(tokens, known).parts() };
  } catch (thrown) {
    if (thrown instanceof LeftOut) return { kind: "left-out", why: thrown.message };
    throw thrown;
  }
}

const tokenForm =
  /\s+|'(?:[^']|'')*'|"(?:[^"]|"")*"|\d+(?:\.\d+)?|[\p{L}_][\p{L}\p{N}_$]*|!~~\*?|~~\*?|\|\||<=|>=|<>|!=|\/\/|:=|::|->|[^\s]/gu;

function tokensOf(sql: string): readonly Token[] {
  return [...sql.matchAll(tokenForm)].flatMap(([said]): readonly Token[] => {
    if (/^\s/.test(said)) return [];
    if (said.startsWith("'")) return [{ kind: "text", said }];
    if (said.startsWith('"')) return [{ kind: "name", said: said.slice(1, -1).replaceAll('""', '"') }];
    if (/^\d/.test(said)) return [{ kind: "number", said }];
    return [{ kind: /^[\p{L}_]/u.test(said) ? "word" : "sign", said }];
  });
}

const isSaid = (token: Token | undefined, said: string): boolean =>
  token !== undefined && token.kind !== "text" && fold(token.said) === fold(said);
const fold = (word: string): string => word.toLowerCase();

const units: Readonly<Record<string, string>> = {
  to_years: "years",
  to_months: "months",
  to_weeks: "weeks",
  to_days: "days",
  to_hours: "hours",
  to_minutes: "mins",
};

/** `INTERVAL 30 DAY` is stored as `to_days(CAST(trunc(CAST(30 AS DOUBLE)) AS INTEGER))`. */
function withIntervals(tokens: readonly Token[]): readonly Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token === undefined) break;
    const unit = token.kind === "word" ? units[fold(token.said)] : undefined;
    if (unit === undefined) {
      out.push(token);
      continue;
    }
    const words = tokens.slice(i, i + 17).map(({ said }) => said);
    const form = /^\w+ \( CAST \( trunc \( CAST \( (-?\d+) AS DOUBLE \) \) AS (?:INTEGER|BIGINT) \) \)/.exec(words.join(" "));
    if (form === null) throw new LeftOut(`its interval is made by ${token.said} of something that is not a number`);
    out.push({ kind: "done", said: `INTERVAL '${form[1] ?? ""} ${unit}'` });
    i += form[0].split(" ").length - 1;
  }
  return out;
}

const literalTypes: Readonly<Record<string, string>> = {
  BOOLEAN: "boolean",
  INTERVAL: "interval",
  DATE: "date",
  TIMESTAMP: "timestamp",
  VARCHAR: "text",
};
const numberTypes: Readonly<Record<string, string>> = {
  SMALLINT: "smallint",
  INTEGER: "integer",
  BIGINT: "bigint",
  DOUBLE: "double precision",
};

/** Casts of literals, and from number to number: both sides do these alike. Their types are put into PostgreSQL's words. */
function withoutCasts(tokens: readonly Token[]): readonly Token[] {
  const out: Token[] = [];
  const open: { depth: number; isLiteral: boolean }[] = [];
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    if (isSaid(token, "(")) {
      depth++;
      if (isSaid(tokens[i - 1], "CAST")) open.push({ depth, isLiteral: tokens[i + 1]?.kind === "text" && isSaid(tokens[i + 2], "AS") });
    }
    const cast = open.at(-1);
    const isType = cast?.depth === depth && isSaid(tokens[i - 1], "AS");
    if (isSaid(token, ")")) {
      if (cast?.depth === depth) open.pop();
      depth--;
    }
    if (!isType) {
      out.push(token);
      continue;
    }
    const said = token.said.toUpperCase();
    const type = numberTypes[said] ?? (said === "DECIMAL" ? "numeric" : cast?.isLiteral === true ? literalTypes[said] : undefined);
    if (type === undefined) throw new LeftOut(`it casts to ${token.said}, whose texts and roundings may differ`);
    out.push({ kind: "done", said: type });
  }
  return out;
}

const keywords = new Set(
  `select distinct from where group by having order limit offset as and or not in is null true false case when then else end between exists inner left right
   full outer join on using union all cast over partition filter asc desc nulls first last cross current_date current_timestamp with`.split(
    /\s+/,
  ),
);
const functions: Readonly<Record<string, string>> = Object.fromEntries(
  "count sum min max coalesce nullif abs length row_number rank dense_rank lag lead first_value last_value now trim greatest least"
    .split(" ")
    .map((name) => [name, name]),
);
const signs = new Set(["(", ")", ",", ".", "=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "%", "||", "~~", "~~*", "!~~", "!~~*"]);
const clauses = new Set(["select", "where", "group", "having", "order", "limit", "union", "on"]);

class Translation {
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #columns: ReadonlyMap<string, string>;
  readonly #parts: ViewPart[] = [];
  /** By depth of parentheses: whether names are those of what is read. */
  readonly #inFrom: boolean[] = [false];

  constructor(
    private readonly tokens: readonly Token[],
    private readonly known: KnownNames,
  ) {
    this.#columns = new Map(known.columns.map((name) => [fold(name), name]));
    const spellings = new Map(known.columns.map((name) => [name, fold(name)]));
    if (spellings.size !== this.#columns.size) throw new LeftOut("columns of its file differ in nothing but case");
    const aliases = tokens.flatMap((token, i): [string, string][] => {
      const isAlias = isSaid(tokens[i - 1], "AS") || (isSaid(tokens[i + 1], "AS") && isSaid(tokens[i + 2], "(") && token.kind === "word");
      return isAlias && (token.kind === "word" || token.kind === "name") ? [[fold(token.said), token.said]] : [];
    });
    this.#aliases = new Map(aliases);
  }

  parts(): readonly ViewPart[] {
    for (let i = 0; i < this.tokens.length; ) i += this.#take(i);
    return this.#parts;
  }

  /** Answers how many tokens it has taken. */
  #take(i: number): number {
    const token = this.tokens[i];
    const next = this.tokens[i + 1];
    if (token === undefined) return 1;
    switch (token.kind) {
      case "done":
      case "text":
      case "number":
        return this.#say(token.said);
      case "sign":
        return this.#sign(token.said, i);
      case "name":
        return this.#isRelation(i) ? this.#relation(i) : this.#name(token.said, i);
      case "word": {
        const word = fold(token.said);
        if (isSaid(next, "(") && !keywords.has(word)) return this.#call(word);
        if (keywords.has(word)) return this.#keyword(word, i);
        return this.#isRelation(i) ? this.#relation(i) : this.#name(token.said, i);
      }
    }
  }

  #keyword(word: string, i: number): number {
    if (word === "all" && isSaid(this.tokens[i - 1], "BY")) throw new LeftOut("it groups or orders by ALL");
    if (word === "from" || word === "join") this.#inFrom[this.#inFrom.length - 1] = true;
    else if (clauses.has(word)) this.#inFrom[this.#inFrom.length - 1] = false;
    // Without a word about it DuckDB puts NULL last.
    const isBare = word === "desc" && !isSaid(this.tokens[i + 1], "NULLS");
    return this.#say(isBare ? "DESC NULLS LAST" : word.toUpperCase());
  }

  #sign(sign: string, i: number): number {
    if (!signs.has(sign)) throw new LeftOut(`it uses ${sign}${sign === "/" ? ", which divides whole numbers otherwise" : ""}`);
    if (sign === "(") this.#inFrom.push(false);
    if (sign === ")") this.#inFrom.pop();
    const isAllColumns = sign === "*" && !(this.#isOperand(i - 1) && this.#isOperand(i + 1));
    if (isAllColumns) throw new LeftOut("it selects all columns (*)");
    return this.#say(sign);
  }

  /** Ends, or begins, something that can be multiplied. */
  #isOperand(i: number): boolean {
    const token = this.tokens[i];
    if (token === undefined || token.kind === "text") return token !== undefined;
    if (token.kind === "sign") return token.said === "(" || token.said === ")";
    return !["select", "distinct", "from"].includes(fold(token.said));
  }

  #call(word: string): number {
    if (word === "count_star") return this.#say("count(*)", 3);
    const name = functions[word];
    if (name === undefined) throw new LeftOut(`it calls ${word}, which is not known to mean the same in PostgreSQL`);
    return this.#say(name);
  }

  #isRelation(i: number): boolean {
    const before = this.tokens[i - 1];
    if (isSaid(before, "FROM") || isSaid(before, "JOIN")) return true;
    return isSaid(before, ",") && this.#inFrom.at(-1) === true;
  }

  #relation(i: number): number {
    const words = [this.tokens[i]?.said ?? ""];
    while (isSaid(this.tokens[i + 2 * words.length - 1], ".")) words.push(this.tokens[i + 2 * words.length]?.said ?? "");
    const taken = 2 * words.length - 1;
    const path = fold((words.length > 1 && fold(words[0] ?? "") === "main" ? words.slice(1) : words).join("."));
    if (this.#aliases.has(path) && words.length === 1 && !this.known.tables.has(path)) return this.#name(words[0] ?? "", i);
    const table = this.known.tables.get(path);
    if (table === undefined)
      throw new LeftOut(this.known.views.has(path) ? `it reads the view ${path}` : `it reads ${path}, which is not captured`);
    const isNamed = isSaid(this.tokens[i + taken], "AS");
    this.#parts.push({ table, alias: isNamed ? null : (words.at(-1) ?? null) });
    return taken;
  }

  #name(said: string, i: number): number {
    if (isSaid(this.tokens[i - 1], "AS")) return this.#say(quoteName(said));
    const [column, alias] = [this.#columns.get(fold(said)), this.#aliases.get(fold(said))];
    const isBare = !isSaid(this.tokens[i - 1], ".") && !isSaid(this.tokens[i + 1], ".");
    if (isBare && column !== undefined && alias !== undefined && column !== alias) throw new LeftOut(`the word ${said} names two things`);
    const exact = column ?? alias ?? (this.known.tables.has(fold(said)) ? said : undefined);
    if (exact === undefined) throw new LeftOut(`it uses the word ${said}, which names no column`);
    return this.#say(quoteName(exact));
  }

  #say(said: string, taken = 1): number {
    this.#parts.push(said);
    return taken;
  }
}
