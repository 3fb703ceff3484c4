import { describe, expect, test } from "vitest";
import { entry } from "../testing/test-signer.ts";
import { endTerms, nextTermEnd, planTerms, startTerms, type Terms } from "./terms.ts";

const now = new Date("2026-03-01T08:00:00.000Z");
const until = (validUntil: string) => ({ kind: "until", validUntil }) as const;
const base = entry("plataformaBase");
const month = entry("asientosCalefactables", { term: { kind: "duration", seconds: 60 } });

describe("terms the car ends itself", () => {
  test("an unlimited entry has no term; a duration starts when the car has applied it", () => {
    const planned = planTerms([base, month], {}, now);
    expect(planned.inForce).toEqual([base, month]);
    expect(planned.terms).toEqual({ [month.id]: { state: "starting", seconds: 60 } });
    expect(startTerms(planned.terms, now)).toEqual({
      [month.id]: {
        state: "running",
        appliedAt: "2026-03-01T08:00:00.000Z",
        validUntil: "2026-03-01T08:01:00.000Z",
      },
    });
  });

  const running: Terms = startTerms(planTerms([month], {}, now).terms, now);

  test("a later manifest that still carries the duration does not prolong it", () => {
    const later = planTerms([month], running, new Date("2026-03-01T08:00:30.000Z"));
    expect(later.terms[month.id]).toMatchObject({
      state: "running",
      validUntil: "2026-03-01T08:01:00.000Z",
    });
  });

  test("a later manifest does not bring back an ended entry", () => {
    const later = planTerms([base, month], running, new Date("2026-03-01T08:01:00.000Z"));
    expect(later.inForce).toEqual([base]);
    expect(later.terms[month.id]?.state).toBe("ended");
  });

  test("an instant in the manifest rules, also to prolong", () => {
    const renewed = { ...month, term: until("2026-04-01T00:00:00.000Z") };
    expect(planTerms([renewed], running, now).terms[month.id]).toMatchObject({
      state: "running",
      validUntil: "2026-04-01T00:00:00.000Z",
    });
    const over = { ...month, term: until("2026-03-01T08:00:00.000Z") };
    expect(planTerms([over], {}, now).inForce).toEqual([]);
  });

  test("an entry that leaves the manifest leaves the terms", () => {
    expect(planTerms([base], running, now).terms).toEqual({});
  });

  test("a term is over at its instant and not before, and ends once", () => {
    expect(nextTermEnd(running)).toEqual(new Date("2026-03-01T08:01:00.000Z"));
    expect(endTerms(running, new Date("2026-03-01T08:00:59.999Z"))).toBeNull();
    const ended = endTerms(running, new Date("2026-03-01T08:01:00.000Z"));
    expect(ended?.[month.id]?.state).toBe("ended");
    expect(endTerms(ended ?? {}, new Date("2027-01-01T00:00:00.000Z"))).toBeNull();
    expect(nextTermEnd(ended ?? {})).toBeNull();
  });
});
