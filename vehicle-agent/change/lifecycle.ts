// The lifecycle of one change in the car, as a table. Everything that can happen to it has a row here; an event
// without a row in the current state is a defect and stops the agent rather than the car.

// biome-ignore format: the table is read by column
export const lifecycle = [
  // state          event              next
  ["idle",          "changeAccepted",  "recording"],
  ["idle",          "intentFound",     "abandoning"],  // after a crash before the switch: nothing was touched
  ["idle",          "switchFound",     "applying"],    // after a crash past the switch: finish what is active
  ["idle",          "failureFound",    "rollingBack"], // after a crash while rolling back
  ["idle",          "deferralFound",   "deferred"],    // after a crash while it waited
  ["recording",     "intentRecorded",  "admitting"],
  ["admitting",     "admitted",        "staging"],
  ["admitting",     "rejected",        "abandoning"],
  ["admitting",     "tooLate",         "abandoning"],
  ["staging",       "staged",          "judging"],
  ["staging",       "stagingFailed",   "abandoning"],
  ["judging",       "inTime",          "switching"],
  ["judging",       "tooLate",         "abandoning"],
  ["judging",       "stagingLost",     "abandoning"],  // it waited, and the staged content is gone
  ["judging",       "obstructed",      "deferring"],   // driving, low charge, a lock: no attempt, no failure
  ["deferring",     "deferralRecorded","deferred"],
  ["deferred",      "conditionsChanged","judging"],
  ["deferred",      "superseded",      "forgetting"],  // a newer version has come: this one needs no outcome
  ["forgetting",    "forgotten",       "idle"],
  ["switching",     "switched",        "applying"],
  ["switching",     "switchFailed",    "rollingBack"], // it may have happened: rolling back settles which slot is active
  ["applying",      "taken",           "checking"],
  ["applying",      "refused",         "rollingBack"],
  ["checking",      "healthy",         "committing"],
  ["checking",      "unhealthy",       "rollingBack"],
  ["committing",    "committed",       "idle"],
  ["committing",    "tooLate",         "rollingBack"], // a long sleep between the switch and here
  ["rollingBack",   "rolledBack",      "abandoning"],
  ["abandoning",    "committed",       "idle"],
] as const;

type Row = (typeof lifecycle)[number];
export type LifecycleState = Row[0] | Row[2];
export type LifecycleEvent = Row[1];
/** States in which a change may rest; only an event from outside continues it. */
export type RestingState = "idle" | "deferred";
export type WorkingState = Exclude<LifecycleState, RestingState>;
/** The events that have a row in `S`. */
export type EventIn<S extends LifecycleState> = Extract<Row, readonly [S, string, string]>[1];

/** The work of every state; each answers only with events that have a row there. */
export type LifecycleSteps = { readonly [S in WorkingState]: () => Promise<EventIn<S>> };

const nextByPair = new Map<LifecycleState, Map<LifecycleEvent, LifecycleState>>();
for (const [state, event, next] of lifecycle)
  nextByPair.set(state, (nextByPair.get(state) ?? new Map()).set(event, next));

/** The state after `event`, or `undefined` where the table has no such row. */
export function nextState(state: LifecycleState, event: LifecycleEvent): LifecycleState | undefined {
  return nextByPair.get(state)?.get(event);
}

function isResting(state: LifecycleState): state is RestingState {
  return state === "idle" || state === "deferred";
}

/**
 * Runs one change from `event` in the resting state `from` until it rests again. `onEnter` is called with every state.
 * @returns the state in which it rests
 * @throws what a step throws (a full disk, a simulated crash): the change stays open in the journal.
 */
export async function runLifecycle<R extends RestingState>(
  from: R,
  event: EventIn<R>,
  steps: LifecycleSteps,
  onEnter: (state: LifecycleState) => void = () => undefined,
): Promise<RestingState> {
  let state = advance(from, event);
  onEnter(state);
  while (!isResting(state)) {
    state = advance(state, await steps[state]());
    onEnter(state);
  }
  return state;
}

function advance(state: LifecycleState, event: LifecycleEvent): LifecycleState {
  const next = nextState(state, event);
  if (next === undefined) throw new Error(`the lifecycle has no row for ${event} in ${state}`);
  return next;
}
