// Named places where a program can be made to die, so that a rehearsal hits exactly the intended spot. Each part has its
// own table of places; plans have the same form everywhere.

/** The passage at which the program ends, by place. */
export type FailpointPlan<Name extends string> = ReadonlyMap<Name, number>;

const passagePattern = /^[1-9][0-9]{0,6}$/;

/** Reads `name:137,other:1` (the 137th passage, the first); `undefined` where it is malformed or a name is unknown. */
export function parseFailpointPlan<Name extends string>(
  text: string,
  names: readonly Name[],
): FailpointPlan<Name> | undefined {
  const plan = new Map<Name, number>();
  for (const part of text.split(",")) {
    const [given, passage = "", ...rest] = part.trim().split(":");
    const name = names.find((one) => one === given);
    if (name === undefined || plan.has(name) || rest.length > 0 || !passagePattern.test(passage))
      return undefined;
    plan.set(name, Number(passage));
  }
  return plan;
}

export function formatFailpointPlan(plan: FailpointPlan<string>): string {
  return [...plan].map(([name, passage]) => `${name}:${passage}`).join(",");
}

/** A program calls the result at each of its places; `die` is called at the planned passage. */
export function createFailpoints<Name extends string>(
  plan: FailpointPlan<Name>,
  die: (name: Name, passage: number) => void,
): (name: Name) => void {
  const passed = new Map<Name, number>();
  return (name) => {
    const passage = (passed.get(name) ?? 0) + 1;
    passed.set(name, passage);
    if (plan.get(name) === passage) die(name, passage);
  };
}

/** The places of one program. */
export type FailpointTable<Name extends string> = {
  /** `undefined` where the text is malformed or names another program's place. */
  parse(text: string): FailpointPlan<Name> | undefined;
  /** For the whole process, because that is what dies. */
  arm(plan: FailpointPlan<Name>): void;
  /** Called between two steps that a power loss may separate. Unless armed, it does nothing. */
  pass(name: Name): void;
};

/**
 * @param places every place, and the state of the work there
 * @param lastWords writes a line to standard error before it returns
 */
export function createFailpointTable<Name extends string>(
  places: Readonly<Record<Name, string>>,
  lastWords: (line: string) => void,
): FailpointTable<Name> {
  const names = Object.keys(places).filter((name): name is Name => Object.hasOwn(places, name));
  let pass: ((name: Name) => void) | null = null;
  return {
    parse: (text) => parseFailpointPlan(text, names),
    arm(plan) {
      pass = createFailpoints(plan, (name, passage) => {
        lastWords(`${formatDeath(name, passage)}\n`);
        process.kill(process.pid, "SIGKILL");
      });
    },
    pass: (name) => pass?.(name),
  };
}

/** The last line that a program writes to standard error at a failpoint. */
export function formatDeath(name: string, passage: number): string {
  return `failpoint ${name}:${passage}`;
}

/** The place and passage of such a line; `undefined` for any other. */
export function parseDeath(line: string): { name: string; passage: number } | undefined {
  const match = /^failpoint ([a-zA-Z-]+):([0-9]+)$/.exec(line);
  return match?.[1] === undefined ? undefined : { name: match[1], passage: Number(match[2]) };
}
