import { styleText } from "node:util";
import type { Step } from "@caas/contract/client/generated.ts";
import { describeStep } from "./words.ts";

/** Tells what happens, a line each. */
export type Narrator = {
  /** What a person does that the expediente does not record: reading a mail, signing in, looking at a screen. */
  act(who: string, words: string): void;
  /** A step of the expediente. */
  step(step: Step): void;
};

export const silentNarrator: Narrator = { act: () => undefined, step: () => undefined };

type Line = { at: Date; who: string; isAutomatic: boolean; words: string; state: string | null };

const whoWidth = 9;
const howWidth = 9;
const wordsWidth = 78;

/** @param print one line without its end; `colour` for a terminal */
export function createNarrator(print: (line: string) => void, colour: boolean): Narrator {
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  const tell = ({ at, who, isAutomatic, words, state }: Line) => {
    const how = (isAutomatic ? "automatic" : "by hand").padEnd(howWidth);
    const parts = [
      style("dim", at.toTimeString().slice(0, 8)),
      style("bold", who.padEnd(whoWidth)),
      style(isAutomatic ? "cyan" : "yellow", how),
      state === null ? words : `${words.padEnd(wordsWidth)} ${style("green", `→ ${state}`)}`,
    ];
    print(parts.join("  "));
  };
  return {
    act: (who, words) => tell({ at: new Date(), who, isAutomatic: false, words, state: null }),
    step(step) {
      const words = describeStep(step);
      const row = step.automation === null ? "" : ` (${step.automation.row})`;
      tell({
        at: new Date(step.at),
        who: step.actor,
        isAutomatic: step.automatic,
        words: `${words}${row}`,
        state: step.to,
      });
    },
  };
}
