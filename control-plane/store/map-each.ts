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
