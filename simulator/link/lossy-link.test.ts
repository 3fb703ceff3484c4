import { generateKeyPairSync } from "node:crypto";
import { exportPublicKey, type SigningKey, thumbprintOf, verifyJws } from "@caas/contract/jws.ts";
import { signReport, verifyReport } from "@caas/contract/report.ts";
import { parseVin } from "@caas/contract/vin.ts";
import type { CarLink, CarTransport, WireMessage } from "@caas/vehicle-agent/link/transport.ts";
import { beforeEach, describe, expect, test } from "vitest";
import {
  createFaultCounts,
  createFaultSchedule,
  type FaultCounts,
  type FaultKind,
  type FaultProbabilities,
  faultKinds,
} from "./fault-schedule.ts";
import { createForger, forgedOffset } from "./forger.ts";
import { createLossyLink } from "./lossy-link.ts";

const car = "1M8GDM9AXKP042788";

/** A link without faults whose other end is this test. */
type FarEnd = {
  transport: CarTransport;
  /** What arrived from the car. */
  taken: string[];
  /** What the car heard. */
  heard: string[];
  say(text: string): void;
  end(): void;
};

function makeFarEnd(): FarEnd {
  const taken: string[] = [];
  const heard: string[] = [];
  let onMessage: (topic: string, payload: Buffer) => void = () => undefined;
  let end = (): void => undefined;
  return {
    taken,
    heard,
    say: (text) => onMessage("t", Buffer.from(text, "latin1")),
    end: () => end(),
    transport: {
      async connect(wanted) {
        onMessage = wanted.onMessage;
        const { promise: closed, resolve } = Promise.withResolvers<string>();
        end = () => resolve("ended");
        return {
          closed,
          publish: async ({ payload }: WireMessage) => void taken.push(payload),
          close: async () => end(),
          drop: () => end(),
        };
      },
    },
  };
}

let far: FarEnd;
let counts: FaultCounts;
/** Everything put off, in the order it was. */
let putOff: { delayMs: number; work: () => void }[];
beforeEach(() => {
  far = makeFarEnd();
  counts = createFaultCounts();
  putOff = [];
});

async function connect(
  probabilities: { toCar?: FaultProbabilities; fromCar?: FaultProbabilities },
  seed = 11,
): Promise<CarLink> {
  const bad = createLossyLink({
    schedule: createFaultSchedule({ seed, ...probabilities }),
    counts,
    postpone: (delayMs, work) => {
      const entry = { delayMs, work };
      putOff.push(entry);
      return () => {
        putOff = putOff.filter((other) => other !== entry);
      };
    },
  });
  return bad(car, far.transport).connect({
    clientId: car,
    will: { topic: "p", payload: "", qos: 1, retain: false },
    subscriptions: [],
    onMessage: (_topic, payload) => far.heard.push(payload.toString("latin1")),
    signal: new AbortController().signal,
  });
}

const message = (payload: string): WireMessage => ({ topic: "t", payload, qos: 1, retain: false });

/** Both directions behave alike: the same five packets through either. */
async function passThrough(
  direction: "toCar" | "fromCar",
  probabilities: FaultProbabilities,
  texts = ["1", "2", "3", "4", "5"],
): Promise<string[]> {
  const link = await connect({ [direction]: probabilities });
  for (const text of texts) {
    if (direction === "toCar") far.say(text);
    // Not awaited: one that is put off is taken when the test says so.
    else link.publish(message(text)).catch(() => undefined);
  }
  return direction === "toCar" ? far.heard : far.taken;
}

describe.each(["toCar", "fromCar"] as const)(
  "%s, what the schedule plans is what happens (fault 4)",
  (direction) => {
    test("nothing: all in order", async () => {
      expect(await passThrough(direction, {})).toEqual(["1", "2", "3", "4", "5"]);
      expect(counts).toEqual({ ...createFaultCounts(), passed: 5 });
    });

    test("dropped: nothing arrives, though it was acknowledged", async () => {
      expect(await passThrough(direction, { dropped: 1 })).toEqual([]);
      expect(counts.dropped).toBe(5);
      const link = await connect({ fromCar: { dropped: 1 } });
      await expect(link.publish(message("6"))).resolves.toBeUndefined();
    });

    test("duplicated: each twice", async () => {
      expect(await passThrough(direction, { duplicated: 1 }, ["1", "2"])).toEqual(["1", "1", "2", "2"]);
      expect(counts.duplicated).toBe(2);
    });

    test("delayed: not before its time, and later ones may be first", async () => {
      const arrived = await passThrough(direction, { delayed: 1 });
      expect(arrived).toEqual([]);
      expect(counts.delayed).toBe(5);
      expect(putOff).toHaveLength(5);
      for (const { delayMs } of putOff) expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(new Set(putOff.map(({ delayMs }) => delayMs)).size).toBeGreaterThan(1);
      for (const { work } of putOff.toReversed()) work();
      expect(arrived).toEqual(["5", "4", "3", "2", "1"]);
    });

    test("reordered: behind its successor, and without one behind its time", async () => {
      const arrived = await passThrough(direction, { reordered: 0.5 }, [..."0123456789"]);
      for (const { work } of [...putOff]) work();
      expect(arrived.toSorted()).toEqual([..."0123456789"]);
      expect(arrived).not.toEqual([..."0123456789"]);
      expect(counts.reordered).toBeGreaterThan(0);
      expect(counts.reordered + counts.passed).toBe(10);
      for (const [place, text] of arrived.entries()) expect(Math.abs(place - Number(text))).toBeLessThan(3);
    });

    test("replayed: an earlier one again, behind the present one", async () => {
      const arrived = await passThrough(direction, { replayed: 1 }, ["1", "2", "3"]);
      expect(counts).toMatchObject({ replayed: 2, passed: 1 });
      expect(arrived).toHaveLength(5);
      expect(arrived.slice(0, 3)).toEqual(["1", "2", "1"]);
      expect(arrived[3]).toBe("3");
      expect(["1", "2"]).toContain(arrived[4]);
    });

    test("forged: what is not signed cannot be, and passes", async () => {
      expect(await passThrough(direction, { forged: 1 })).toEqual(["1", "2", "3", "4", "5"]);
      expect(counts).toMatchObject({ forged: 0, passed: 5 });
    });

    test("packets under way when the link ends are lost with it", async () => {
      const link = await connect({ [direction]: { delayed: 1 } });
      const published = link.publish(message("late"));
      far.say("late");
      const works = [...putOff];
      link.drop();
      for (const { work } of works) work();
      if (direction === "fromCar") await expect(published).rejects.toThrow("the link ended");
      expect(direction === "fromCar" ? far.taken : far.heard).toEqual([]);
    });
  },
);

describe("the seed decides", () => {
  const probabilities: FaultProbabilities = Object.fromEntries(faultKinds.map((kind) => [kind, 0.1]));
  const schedule = (seed: number, toCar = probabilities) =>
    createFaultSchedule({ seed, toCar, fromCar: { dropped: 0.5 } });
  const fates = (seed: number, name = car) => {
    const one = schedule(seed);
    return Array.from({ length: 100 }, (_, index) => one.fateOf(name, "toCar", index));
  };

  test("same seed, same schedule and hash; another seed, car or probability, another", () => {
    expect(fates(11)).toEqual(fates(11));
    expect(schedule(11).hash).toBe(schedule(11).hash);
    expect(schedule(11).hash).toMatch(/^[0-9a-f]{16}$/);
    expect(fates(12)).not.toEqual(fates(11));
    expect(fates(11, "another car")).not.toEqual(fates(11));
    const others = [schedule(12), schedule(11, { dropped: 0.1 }), schedule(11 + 2 ** 32)];
    expect(new Set([schedule(11), ...others].map(({ hash }) => hash)).size).toBe(4);
  });

  test("a packet's fate does not depend on what was asked before", () => {
    const one = schedule(11);
    const backwards = Array.from({ length: 100 }, (_, index) => one.fateOf(car, "toCar", 99 - index));
    expect(backwards.toReversed()).toEqual(fates(11));
  });

  test("each fault comes about as often as it was asked for", () => {
    const seen = createFaultCounts();
    const one = schedule(5);
    for (let index = 0; index < 20_000; index += 1) seen[one.fateOf(car, "toCar", index).kind] += 1;
    for (const kind of faultKinds) {
      expect(seen[kind]).toBeGreaterThan(1_800);
      expect(seen[kind]).toBeLessThan(2_200);
    }
  });

  test.each([{ dropped: 0.6, delayed: 0.5 }, { dropped: -0.1 }, { dropped: Number.NaN }])(
    "%o are no probabilities",
    (wrong) => expect(() => createFaultSchedule({ seed: 1, toCar: wrong })).toThrow("probabilit"),
  );

  test("which faults are planned can be asked", () => {
    const planned = (kind: FaultKind) =>
      createFaultSchedule({ seed: 1, fromCar: { forged: 0.1 } }).plans(kind);
    expect(faultKinds.filter(planned)).toEqual(["forged"]);
  });
});

describe("a forged document (fault 5, fault 8)", () => {
  const vin = parseVin(car);
  const key = ((): SigningKey => {
    const { privateKey } = generateKeyPairSync("ed25519");
    return { kid: thumbprintOf(exportPublicKey(privateKey)), privateKey };
  })();
  const token = signReport(
    {
      vin,
      seq: 7,
      active: { version: 0, hash: "h".repeat(43) },
      outcome: null,
      deferred: null,
      refused: {},
      keySetVersion: 1,
      sentAt: "2026-03-01T08:00:00.000Z",
    },
    key,
  );
  const trusted = { kid: key.kid, publicKey: key.privateKey };
  const judge = (text: string) => verifyReport(text, { vin, key: trusted });

  test("is another text each time, and none is believed", () => {
    const forger = createForger(3);
    expect(judge(token).kind).toBe("accepted");
    const reasons = new Set<string>();
    for (let draw = 0; draw < 1; draw += 1 / 512) {
      const forged = forger.forge(token, draw);
      if (forged === null) throw new Error("not forged");
      expect(forged).not.toBe(token);
      expect(Buffer.byteLength(forged)).toBe(forged.length);
      const verdict = judge(forged);
      if (verdict.kind === "accepted") throw new Error(`believed: ${forged}`);
      reasons.add(verdict.reason);
    }
    expect([...reasons].sort()).toEqual(expect.arrayContaining(["badSignature", "malformed", "unknownKey"]));
  });

  test("signed with the forger's key it would be believed only by a part that trusts that key, and shows it", () => {
    const forged = createForger(3).forge(token, 0.9) ?? "";
    const result = verifyJws("caas-report+jws", forged, () => trusted);
    expect(result).toEqual({ kind: "refused", reason: "badSignature" });
    const payload: unknown = JSON.parse(Buffer.from(forged.split(".")[1] ?? "", "base64url").toString());
    expect(payload).toMatchObject({ vin, seq: 7 + forgedOffset });
  });

  test("is the same for the same seed", () => {
    expect(createForger(3).forge(token, 0.5)).toBe(createForger(3).forge(token, 0.5));
    expect(createForger(4).forge(token, 0.5)).not.toBe(createForger(3).forge(token, 0.5));
  });

  test("takes the true one's place on the link, and is counted", async () => {
    const heard = await passThrough("toCar", { forged: 1 }, [token, token]);
    expect(heard).toHaveLength(2);
    for (const text of heard) expect(judge(text).kind).toBe("refused");
    expect(counts).toEqual({ ...createFaultCounts(), forged: 2 });
  });
});
