import { once } from "node:events";
import { formatBusinessTime } from "@caas/contract/business-clock.ts";
import { displayAckSchema, verifyDisplayAck } from "@caas/contract/display.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import type { Outcome } from "@caas/contract/report.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "./agent.ts";
import { agentClock } from "./clock/agent-clock.ts";
import { failAt, PowerLoss } from "./failpoints.ts";
import { startHttpServer } from "./http.ts";
import { createAgentMetrics } from "./metrics.ts";
import { createFaultyAdapter } from "./testing/faulty-adapter.ts";
import { startTestBroker, type TestBroker } from "./testing/test-broker.ts";
import { makeTestCar, startConnected, type TestCar } from "./testing/test-car.ts";
import { entry, makeSigningKey, otherVin } from "./testing/test-signer.ts";

let broker: TestBroker;
let car: TestCar;
let agents: Agent[];
const adapter = createFaultyAdapter();
const base = entry("plataformaBase");
const seats = entry("asientosCalefactables");

beforeEach(async () => {
  broker = await startTestBroker();
  adapter.faults = {};
  car = await makeTestCar(broker.url, adapter);
  agents = [car.agent];
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await broker.close();
});

const report = (isWanted?: Parameters<TestBroker["nextReport"]>[2], skip?: number) =>
  broker.nextReport(car.vin, car.verifyingKey, isWanted, skip);

/** Sends a manifest and gives the first report made after it. */
async function sendManifest(token: string) {
  const before = car.agent.state().seq;
  await broker.send(car.vin, "manifest", token);
  return report(({ seq }) => seq > before);
}

async function restart(changes?: Parameters<TestCar["again"]>[0]): Promise<void> {
  car = car.again(changes);
  agents.push(car.agent);
  await startConnected(car.agent);
}

describe("a car on the link [SY9, SY16]", () => {
  test("publishes a retained presence, and reports its configuration", async () => {
    await startConnected(car.agent);
    expect(await broker.next(({ topic }) => topic === topicOf(car.vin, "presence"))).toEqual({
      topic: topicOf(car.vin, "presence"),
      payload: '{"state":"online","connection":1}',
      retain: true,
    });
    expect(await report()).toMatchObject({
      vin: car.vin,
      seq: 1,
      active: { version: 0, hash: emptyManifestHash },
      outcome: null,
      deferred: null,
      refused: {},
      keySetVersion: 1,
    });
  });

  test("applies a signed manifest and proves it with a signed report [DO15]", async () => {
    await startConnected(car.agent);
    const answer = await sendManifest(car.signer.manifest(car, 1, [base, seats]));
    const hash = manifestHash([base, seats]);
    expect(answer).toMatchObject({
      active: { version: 1, hash },
      outcome: { result: "applied", version: 1, hash },
    });
    expect(adapter.applied.at(-1)).toMatchObject({ version: 1, hash });
  });

  test("reports a failure with its reason, and that the former configuration is back", async () => {
    await startConnected(car.agent);
    await sendManifest(car.signer.manifest(car, 1, [base]));
    adapter.faults = { unhealthy: "no answer from the body controller" };
    expect(await sendManifest(car.signer.manifest(car, 2, [base, seats]))).toMatchObject({
      active: { version: 1, hash: manifestHash([base]) },
      outcome: {
        result: "failed",
        version: 2,
        reason: "probeFailed",
        detail: "no answer from the body controller",
        rolledBack: true,
      },
    });
  });

  test("reconnects after the broker cut it, as a new connection, and reports again", async () => {
    await startConnected(car.agent);
    await sendManifest(car.signer.manifest(car, 1, [base]));
    const seen = broker.messages.length;
    broker.cut();
    await broker.next(({ payload }) => payload === '{"state":"offline","connection":1}', seen);
    await broker.next(({ payload }) => payload === '{"state":"online","connection":2}', seen);
    const again = await report(undefined, seen);
    expect(again).toMatchObject({ outcome: { result: "applied", version: 1 } });
  });

  test("leaves with a word, and counts its connections across reboots", async () => {
    await startConnected(car.agent);
    await car.agent.stop();
    await broker.next(({ payload }) => payload === '{"state":"offline","connection":1}');
    await restart();
    await broker.next(({ payload }) => payload === '{"state":"online","connection":2}');
    expect((await report(({ seq }) => seq > 1)).seq).toBe(2);
  });

  test("a manifest sent again is the status query: same outcome, no second apply [FA6]", async () => {
    await startConnected(car.agent);
    const first = await sendManifest(car.signer.manifest(car, 1, [base]));
    const applied = adapter.applied.length;
    const resent = car.signer.manifest(car, 1, [base], { issuedAt: "2026-03-01T09:00:00.000Z" });
    const second = await sendManifest(resent);
    expect(second.outcome).toEqual(first.outcome);
    expect(second.seq).toBe(first.seq + 1);
    expect(adapter.applied.length).toBe(applied);
  });

  test("also the outcome of a failure is final for its version [FA6]", async () => {
    await startConnected(car.agent);
    adapter.faults = { rejects: "no heated seats fitted" };
    const first = await sendManifest(car.signer.manifest(car, 1, [seats]));
    adapter.faults = {};
    const second = await sendManifest(car.signer.manifest(car, 1, [seats]));
    expect(second.outcome).toEqual(first.outcome);
    expect(second.active.version).toBe(0);
    const retry = await sendManifest(car.signer.manifest(car, 2, [seats]));
    expect(retry.outcome).toMatchObject({ result: "applied", version: 2 });
  });

  test("duplicates and reordering have one effect, in the order of versions [fault 4]", async () => {
    await startConnected(car.agent);
    const outcomes: Outcome[] = [];
    car.agent.on("outcome", (outcome) => outcomes.push(outcome));
    const versions = [2, 1, 2, 3, 1, 3, 2];
    for (const version of versions)
      await broker.send(
        car.vin,
        "manifest",
        car.signer.manifest(car, version, version === 3 ? [base, seats] : [base]),
      );
    await report(({ outcome, seq }) => outcome?.version === 3 && seq > 3);
    expect(outcomes.map(({ version, result }) => [version, result])).toEqual([
      [2, "applied"],
      [3, "applied"],
    ]);
  });
});

describe("messages that a car refuses [fault 4, fault 5, fault 8, fault 10]", () => {
  const flip = (token: string, part: number): string => {
    const parts = token.split(".");
    const bytes = Buffer.from(parts[part] ?? "", "base64url");
    const middle = Math.floor(bytes.length / 2);
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    parts[part] = bytes.toString("base64url");
    return parts.join(".");
  };
  const withHeader = (token: string, header: object): string =>
    [Buffer.from(JSON.stringify(header)).toString("base64url"), ...token.split(".").slice(1)].join(".");

  test.each<{ attack: string; reason: string; token: (car: TestCar) => string }>([
    {
      attack: "a manifest for another car [fault 5]",
      reason: "manifest.otherVehicle",
      token: (at) => at.signer.manifest({ vin: otherVin, proofKey: at.proofKey }, 2, [seats]),
    },
    {
      attack: "a manifest for a former owner of the VIN's keys [fault 5]",
      reason: "manifest.otherProofKey",
      token: (at) => at.signer.manifest({ vin: at.vin, proofKey: makeSigningKey() }, 2, [seats]),
    },
    {
      attack: "one bit of the payload changed [fault 5]",
      reason: "manifest.badSignature",
      token: (at) => flip(at.signer.manifest(at, 2, [seats]), 1),
    },
    {
      attack: "one bit of the signature changed [fault 5]",
      reason: "manifest.badSignature",
      token: (at) => flip(at.signer.manifest(at, 2, [seats]), 2),
    },
    {
      attack: "an unknown key [fault 5]",
      reason: "manifest.unknownKey",
      token: (at) => at.signer.manifest(at, 2, [seats], { signer: makeSigningKey() }),
    },
    {
      attack: "`alg` changed [fault 5]",
      reason: "manifest.wrongAlgorithm",
      token: (at) =>
        withHeader(at.signer.manifest(at, 2, [seats]), {
          alg: "none",
          kid: at.signer.signer.kid,
          typ: "caas-manifest+jws",
        }),
    },
    {
      attack: "a signed notice passed off as a manifest [fault 8]",
      reason: "manifest.wrongType",
      token: (at) => at.signer.display(at.vin),
    },
    {
      attack: "a hash that is not that of the entries [fault 8]",
      reason: "manifest.wrongHash",
      token: (at) => at.signer.manifest(at, 2, [seats], { hash: manifestHash([base]) }),
    },
    {
      attack: "an older version, rightly signed [fault 4]",
      reason: "manifest.older",
      token: (at) => at.signer.manifest(at, 1, [base]),
    },
    {
      attack: "the same version with other content [fault 4]",
      reason: "manifest.otherHash",
      token: (at) => at.signer.manifest(at, 5, [seats]),
    },
    { attack: "nonsense [fault 10]", reason: "manifest.malformed", token: () => "\u0000{nonsense" },
    { attack: "nothing [fault 10]", reason: "manifest.malformed", token: () => "" },
    { attack: "a huge text [fault 10]", reason: "manifest.tooLarge", token: () => "x".repeat(70_000) },
    {
      attack: "a signed manifest without a version",
      reason: "manifest.invalid",
      token: (at) => at.signer.manifest(at, Number.NaN, [seats]),
    },
    {
      attack: "a signed manifest in which an id occurs twice",
      reason: "manifest.invalid",
      token: (at) => at.signer.manifest(at, 6, [seats, seats]),
    },
  ])("$attack: refused, nothing changes, and the next report says so", async ({ reason, token }) => {
    await startConnected(car.agent);
    const proved = await sendManifest(car.signer.manifest(car, 5, [base]));
    const applied = adapter.applied.length;
    const answer = await sendManifest(token(car));
    expect(answer.refused).toEqual({ [reason]: 1 });
    expect(answer.active).toEqual(proved.active);
    expect(answer.outcome).toEqual(proved.outcome);
    expect(adapter.applied.length).toBe(applied);
    // The process stays up, and the refusal is reported only once.
    const next = await sendManifest(car.signer.manifest(car, 6, [base, seats]));
    expect(next).toMatchObject({ refused: {}, outcome: { result: "applied", version: 6 } });
  });

  test("a flood of forgeries is counted and does not make the car talk [fault 8]", async () => {
    await startConnected(car.agent);
    const forged = car.signer.manifest(car, 2, [seats], { signer: makeSigningKey() });
    const refused = once(car.agent, "refused");
    await sendManifest(forged);
    await refused;
    const seq = car.agent.state().seq;
    for (let count = 0; count < 20; count += 1) {
      const next = once(car.agent, "refused");
      await broker.send(car.vin, "manifest", forged);
      await next;
    }
    expect(car.agent.state().seq).toBe(seq);
    const later = await sendManifest(car.signer.manifest(car, 3, [base]));
    expect(later.refused).toEqual({ "manifest.unknownKey": 20 });
  });

  test("an entry past its `applyBefore` is not applied and the report says why [fault 6]", async () => {
    await startConnected(car.agent);
    const late = { ...seats, applyBefore: "2026-03-01T07:59:00.000Z" };
    expect(await sendManifest(car.signer.manifest(car, 1, [late]))).toMatchObject({
      active: { version: 0 },
      outcome: { result: "failed", reason: "applyBeforePassed", failureClass: "permanent" },
    });
  });

  test("setting the car's clock back does not make a late entry timely [fault 7]", async () => {
    await startConnected(car.agent);
    await sendManifest(car.signer.manifest(car, 1, [base]));
    car.clock.setWallClock(new Date("2020-01-01T00:00:00.000Z"));
    const late = { ...seats, applyBefore: "2026-03-01T07:59:00.000Z" };
    const answer = await sendManifest(car.signer.manifest(car, 2, [base, late]));
    expect(answer.outcome).toMatchObject({ result: "failed", reason: "applyBeforePassed" });
  });
});

describe("key sets", () => {
  test("a manifest under a newer set waits; the set comes, then it is applied", async () => {
    await startConnected(car.agent);
    const successor = makeSigningKey();
    const token = car.signer.manifest(car, 1, [base], { signer: successor, keySetVersion: 2 });
    expect(await sendManifest(token)).toMatchObject({ outcome: null, keySetVersion: 1 });
    await broker.send(car.vin, "keys", car.signer.keySet(2, [successor]));
    const answer = await report(({ outcome }) => outcome !== null);
    expect(answer).toMatchObject({ outcome: { result: "applied", version: 1 }, keySetVersion: 2 });
    await restart();
    expect(await report(({ seq }) => seq > answer.seq)).toMatchObject({ keySetVersion: 2 });
  });

  test("a key missing from the newer set is refused, also for earlier signatures [fault 5]", async () => {
    await startConnected(car.agent);
    const early = car.signer.manifest(car, 1, [base], { keySetVersion: 2 });
    expect(await sendManifest(early)).toMatchObject({ outcome: null });
    await broker.send(car.vin, "keys", car.signer.keySet(2, [makeSigningKey()]));
    const answer = await report(({ refused }) => refused["manifest.unknownKey"] === 1);
    expect(answer).toMatchObject({ outcome: null, keySetVersion: 2, active: { version: 0 } });
  });

  test.each([
    { attack: "an older set", reason: "keys.older", token: () => car.signer.keySet(1) },
    {
      attack: "a set that the pinned root did not sign",
      reason: "keys.untrusted",
      token: () => car.signer.keySet(9).replace(/.{8}$/, "AAAAAAAA"),
    },
  ])("$attack is refused", async ({ reason, token }) => {
    await startConnected(car.agent);
    await broker.send(car.vin, "keys", car.signer.keySet(2));
    await report(({ keySetVersion }) => keySetVersion === 2);
    await broker.send(car.vin, "keys", token());
    expect(await report(({ refused }) => refused[reason] === 1)).toMatchObject({ keySetVersion: 2 });
  });
});

describe("the car's screen", () => {
  const ack = async (skip = 0) => {
    const message = await broker.next(({ topic }) => topic === topicOf(car.vin, "display-ack"), skip);
    return displayAckSchema.parse(verifyDisplayAck(message.payload, car.vin, car.verifyingKey));
  };

  test("shows the linking code, acknowledges it signed, and keeps it across a reboot until it expires", async () => {
    await startConnected(car.agent);
    await broker.send(car.vin, "display", car.signer.display(car.vin));
    const answer = await ack();
    expect(answer).toMatchObject({ vin: car.vin, result: "shown" });
    expect(car.agent.display()).toMatchObject([
      { id: answer.id, content: { kind: "linkingCode", code: "123456" } },
    ]);
    await car.agent.stop();
    await restart();
    expect(car.agent.display()).toHaveLength(1);
    car.clock.advance(600_000);
    expect(car.agent.display()).toEqual([]);
  });

  test("does not show an expired message, and reports that", async () => {
    await startConnected(car.agent);
    const over = car.signer.display(car.vin, { expiresAt: "2026-03-01T08:00:00.000Z" });
    await broker.send(car.vin, "display", over);
    expect(await ack()).toMatchObject({ result: "expired" });
    expect(car.agent.display()).toEqual([]);
  });

  test("sent twice it is shown once and acknowledged twice; the newest is on top", async () => {
    await startConnected(car.agent);
    const notice = car.signer.display(car.vin, {
      content: { kind: "notice", title: "Servicio activo", body: "Asientos calefactables" },
      issuedAt: "2026-03-01T08:00:01.000Z",
    });
    for (const token of [notice, car.signer.display(car.vin), notice]) {
      const seen = broker.messages.length;
      await broker.send(car.vin, "display", token);
      await ack(seen);
    }
    expect(car.agent.display().map(({ content }) => content.kind)).toEqual(["notice", "linkingCode"]);
  });

  test("a notice for another car is refused [fault 5]", async () => {
    await startConnected(car.agent);
    await broker.send(car.vin, "display", car.signer.display(otherVin));
    expect((await report(({ refused }) => "display.untrusted" in refused)).refused).toEqual({
      "display.untrusted": 1,
    });
    expect(car.agent.display()).toEqual([]);
  });
});

describe("time", () => {
  const fastClock = (scale: number) =>
    agentClock(formatBusinessTime({ realMs: Date.now(), businessMs: car.clock.now().getTime(), scale }));

  test("ends a term by itself and reports the new state, without being asked", async () => {
    // An hour of business time per second.
    const fast = fastClock(3600);
    await restart({ clock: fast });
    const issuedAt = fast.now().toISOString();
    const quarter = entry("conduccionAsistida", { term: { kind: "duration", seconds: 900 } });
    const proved = await sendManifest(car.signer.manifest(car, 1, [base, quarter], { issuedAt }));
    expect(proved.active.hash).toBe(manifestHash([base, quarter]));
    const ended = await report(({ active }) => active.hash === manifestHash([base]));
    expect(ended).toMatchObject({ active: { version: 1 }, outcome: proved.outcome });
  });

  test("an idle car reports within six hours", async () => {
    await restart({ clock: fastClock(36_000) });
    expect((await report(({ seq }) => seq === 3)).seq).toBe(3);
  });

  test("publishes the car's signals at intervals where the car has any", async () => {
    const signals = { "Vehicle.TraveledDistance": 1234.5, "Vehicle.IsMoving": false };
    await restart({
      clock: fastClock(3600),
      adapter: { ...adapter, signals: async () => signals },
    });
    const message = await broker.next(({ topic }) => topic === topicOf(car.vin, "telemetry"));
    expect(JSON.parse(message.payload)).toMatchObject({ signals });
  });
});

describe("power lost between applying and reporting [fault 3]", () => {
  test("the agent is dead at once, and the next one repeats the outcome without applying it again", async () => {
    const failpoint = failAt({ name: "afterOutcome", passage: 1 }, () => {
      throw new PowerLoss();
    });
    await restart({ failpoint });
    const died = once(car.agent, "died");
    await broker.send(car.vin, "manifest", car.signer.manifest(car, 1, [base]));
    await died;
    await broker.next(({ payload }) => payload.includes('"offline"'));
    await restart({ failpoint: () => undefined });
    const answer = await report(({ outcome }) => outcome !== null);
    expect(answer.outcome).toMatchObject({ result: "applied", version: 1 });
    const resent = await sendManifest(car.signer.manifest(car, 1, [base]));
    expect(resent.outcome).toEqual(answer.outcome);
  });
});

test.each(["1970-01-01T00:00:00.000Z", "2026-02-27T08:00:00.000Z", "2101-03-01T08:00:00.000Z"])(
  "a car whose clock is at %s believes the platform's signature, and its time is right from then on [F5]",
  async (wall) => {
    car.clock.setWallClock(new Date(wall));
    await startConnected(car.agent);
    const answer = await sendManifest(car.signer.manifest(car, 1, [base]));
    expect(answer).toMatchObject({
      outcome: { result: "applied", version: 1, appliedAt: expect.stringMatching(/^2026-03-01T08:00/) },
      sentAt: expect.stringMatching(/^2026-03-01T08:00/),
    });
  },
);

test("a car from which the platform's word is withheld says how old its last one is, also after a reboot [R16]", async () => {
  const metrics = createAgentMetrics();
  await restart({ metrics });
  await sendManifest(car.signer.manifest(car, 1, [base]));
  const { lastSignedWord } = car.agent.state();
  expect(lastSignedWord?.at).toBe("2026-03-01T08:00:00.000Z");
  car.clock.advance(3 * dayMs);
  await restart({ metrics });
  const http = await startHttpServer(0, car.agent, metrics);
  const health = await (await fetch(`${http.url}/health`)).json();
  expect(health).toMatchObject({
    lastSignedWord: {
      at: "2026-03-01T08:00:00.000Z",
      ageSeconds: (lastSignedWord?.ageSeconds ?? 0) + (3 * dayMs) / 1000,
    },
  });
  expect(await metrics.registry.metrics()).toContain(
    'caas_agent_signed_word_age_seconds_bucket{le="604800"} ',
  );
  await http.close();
});

test("metrics count events, and /health, /metrics and /display serve them on loopback", async () => {
  const metrics = createAgentMetrics();
  await restart({ metrics });
  const http = await startHttpServer(0, car.agent, metrics);
  await sendManifest(car.signer.manifest(car, 1, [base]));
  adapter.faults = { rejects: "no" };
  await sendManifest(car.signer.manifest(car, 2, [seats]));
  await sendManifest("forged");
  const text = await (await fetch(`${http.url}/metrics`)).text();
  for (const line of [
    'caas_agent_applies_total{result="applied",reason="none"} 1',
    'caas_agent_applies_total{result="failed",reason="adapterRejected"} 1',
    'caas_agent_refused_total{reason="manifest.malformed"} 1',
    "caas_agent_connected 1",
  ])
    expect(text).toContain(line);
  expect(await (await fetch(`${http.url}/health`)).json()).toMatchObject({
    vin: car.vin,
    connected: true,
    active: { version: 1 },
  });
  expect(await (await fetch(`${http.url}/display`)).json()).toEqual({ messages: [] });
  for (const path of ["/", "/display"]) {
    const page = await fetch(`${http.url}${path}`, { headers: { accept: "text/html,*/*;q=0.8" } });
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).toContain("Nothing to show");
  }
  expect((await fetch(`${http.url}/other`)).status).toBe(404);
  await car.agent.stop();
  expect(await metrics.registry.metrics()).toContain("caas_agent_connected 0");
  await http.close();
});
