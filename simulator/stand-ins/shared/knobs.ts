import * as z from "zod";

// What someone has set on a stand-in, so that a person who wonders why nothing moves is told, and how to undo it.

export const knobSchema = z.object({
  /** As `pace` or `faults`. */
  what: z.string(),
  value: z.unknown(),
  /** Where DELETE puts it back as it was. */
  reset: z.string(),
});
export type Knob = z.infer<typeof knobSchema>;

/** What is set of one kind; `null` where all is as it begins. */
export type ReadKnob = () => Knob | null;

export type Knobs = { add(read: ReadKnob): void; list(): Knob[] };

export function createKnobs(): Knobs {
  const readers: ReadKnob[] = [];
  return {
    add: (read) => void readers.push(read),
    list: () => readers.map((read) => read()).filter((knob) => knob !== null),
  };
}
