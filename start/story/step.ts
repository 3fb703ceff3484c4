/** Who acts in a step of the story. */
export type StepActor = "staff" | "customer" | "platform" | "factory" | "carrier" | "car";

export type StoryStep<T> = { name: string; actor: StepActor; run: () => Promise<T> };

/** Runs one step and returns its result. */
export type RunStep = <T>(step: StoryStep<T>) => Promise<T>;

/** For callers that only need the results. */
export const runPlainly: RunStep = (step) => step.run();

export type StepTiming = { name: string; ms: number };

export class StoryFailed extends Error {
  override name = "StoryFailed";
  readonly step: string;
  readonly why: string;
  constructor(step: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`the story failed at "${step}": ${why}`, { cause });
    this.step = step;
    this.why = why;
  }
}

/** Measures each step, and names the one that fails. `timings` grows as steps end. */
export function createStepRunner(
  onStart: (step: { name: string; actor: StepActor }) => void = () => undefined,
): { run: RunStep; timings: readonly StepTiming[] } {
  const timings: StepTiming[] = [];
  return {
    timings,
    async run(step) {
      onStart(step);
      const startedAt = performance.now();
      try {
        return await step.run();
      } catch (error) {
        throw new StoryFailed(step.name, error);
      } finally {
        timings.push({ name: step.name, ms: Math.round(performance.now() - startedAt) });
      }
    },
  };
}
