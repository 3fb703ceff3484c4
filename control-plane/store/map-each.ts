/** A list's answers: as many as were asked for, in the same order; one asked for is one answered. */
export type Each<Inputs extends readonly unknown[], Answer> = { -readonly [Index in keyof Inputs]: Answer };

/** `map` whose type keeps the length: `const [answer] = mapEach([input], …)` is never undefined. */
export function mapEach<const Inputs extends readonly unknown[], Answer>(
  inputs: Inputs,
  answer: (input: Inputs[number], index: number) => Answer,
): Each<Inputs, Answer> {
  // `map` answers each element once, in order; the compiler does not follow its length.
  return inputs.map(answer) as Each<Inputs, Answer>;
}

/** Rows that were read by their ids, in the order of the ids. @throws when one is missing */
export function inOrderOf<Row extends { id: string }>(
  ids: readonly string[],
  rows: readonly Row[],
  name: string,
): Row[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => {
    const row = byId.get(id);
    if (row === undefined) throw new Error(`no ${name} ${id}`);
    return row;
  });
}
