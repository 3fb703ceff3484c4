// Business time rules deadlines, holds, terms and certificate validity; every process of one platform
// derives it from the same anchor, so it survives restarts and a year can pass in seconds.

export type Clock = { now(): Date };

/** The machine's own time: for I/O time-outs, TLS, webhook windows and sessions. */
export const realClock: Clock = { now: () => new Date() };

/** At real time `realMs` it was `businessMs`; since then business time runs `scale` times as fast. */
export type BusinessTimeAnchor = { realMs: number; businessMs: number; scale: number };

export function businessClock(anchor: BusinessTimeAnchor, real: Clock = realClock): Clock {
  return {
    now: () => new Date(anchor.businessMs + (real.now().getTime() - anchor.realMs) * anchor.scale),
  };
}

/** Milliseconds of real time until business time has advanced by `businessMs`. */
export function realDelayMs(anchor: BusinessTimeAnchor, businessMs: number): number {
  return businessMs / anchor.scale;
}

export function formatBusinessTime(anchor: BusinessTimeAnchor): string {
  return `${new Date(anchor.realMs).toISOString()}/${new Date(anchor.businessMs).toISOString()}/${anchor.scale}`;
}

/** Reads `REAL/BUSINESS/SCALE` (two ISO 8601 instants and a factor > 0); `undefined` where it is malformed. */
export function parseBusinessTime(text: string): BusinessTimeAnchor | undefined {
  const [real, business, factor, ...rest] = text.split("/");
  if (real === undefined || business === undefined || factor === undefined || rest.length > 0)
    return undefined;
  const realMs = Date.parse(real);
  const businessMs = Date.parse(business);
  const scale = Number(factor);
  if (!Number.isFinite(realMs) || !Number.isFinite(businessMs) || !(scale > 0) || !Number.isFinite(scale))
    return undefined;
  return { realMs, businessMs, scale };
}

/**
 * The clock that `CAAS_BUSINESS_TIME` names; without it business time is real time.
 * @throws Error naming the expected form.
 */
export function businessClockFrom(text: string | undefined): Clock {
  if (text === undefined || text === "") return realClock;
  const anchor = parseBusinessTime(text);
  if (anchor === undefined)
    throw new Error(
      "CAAS_BUSINESS_TIME must read REAL/BUSINESS/SCALE, as 2026-01-01T00:00:00Z/2026-01-01T00:00:00Z/1",
    );
  return businessClock(anchor);
}
