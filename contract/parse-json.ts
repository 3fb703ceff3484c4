/** The value of a JSON text, not yet checked; `undefined` for anything else. `revive` as JSON.parse takes it. */
export function parseJson(text: string, revive?: (key: string, value: unknown) => unknown): unknown {
  try {
    return JSON.parse(text, revive);
  } catch {
    return undefined;
  }
}
