import { carPassword } from "@caas/contract/car-password.ts";
import { signDisplayAck } from "@caas/contract/display.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { type Report, signReport } from "@caas/contract/report.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { connectAsync, type MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../store/ids.ts";
import { startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";
import { carSecret } from "../testing/test-platform.ts";
import { createDispatcher } from "./dispatcher.ts";
import { createIngester, type FromCar } from "./ingester.ts";

// What cars say, with their own keys, over the real broker.

let fleet: TestFleet;
const clients: MqttClient[] = [];
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.end(true);
});
afterAll(() => fleet?.close());

async function connectAs(car: TestCar): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${fleet.broker.tcpPort}`, {
    clientId: car.vin,
    username: car.vin,
    password: carPassword(carSecret, parseVin(car.vin)),
    reconnectPeriod: 0,
  });
  clients.push(client);
  return client;
}

function tokenOf(car: TestCar, change: Partial<Report> = {}): string {
  const report: Report = {
    vin: parseVin(car.vin),
    seq: 1,
    active: { version: 0, hash: emptyManifestHash },
    outcome: null,
    deferred: null,
    refused: {},
    keySetVersion: 1,
    sentAt: new Date().toISOString(),
    ...change,
  };
  return signReport(report, car.identity.proofKey);
}

const seqOf = async (car: TestCar) =>
  (
    await fleet.db
      .selectFrom("vehicle_links")
      .select("report_seq")
      .where("vehicle_id", "=", car.vehicleId)
      .executeTakeFirstOrThrow()
  ).report_seq;

describe("reports", () => {
  test.each([
    {
      is: "a version of 2147483646",
      change: { active: { version: 2_147_483_646, hash: emptyManifestHash } },
    },
    { is: "a number of 2147483648", change: { seq: 2_147_483_648 } },
    { is: "a NUL in a hash", change: { active: { version: 0, hash: `${emptyManifestHash.slice(1)}\0` } } },
  ])(
    "$is, signed by a car, is refused and counted; its next purchase is delivered [R6]",
    async ({ change }) => {
      const car = await fleet.addCar({ online: false });
      const client = await connectAs(car);
      const refusals = async () =>
        Number(
          /caas_link_messages_refused_total\{reason="report.invalid"\} (\d+)/.exec(
            (await fleet.metrics.render()).text,
          )?.[1] ?? 0,
        );
      const before = await refusals();
      await client.publishAsync(topicOf(parseVin(car.vin), "report"), tokenOf(car, change));
      await fleet.waitUntil("it is refused", async () => ((await refusals()) > before ? true : undefined));
      client.end(true);
      await car.drive();
      const activationId = await fleet.buy(car, "heatedSeats");
      await fleet.waitFor(activationId, "ServiceActive");
    },
  );

  test("one message that cannot be taken costs the others of its batch a few transactions, not one each [R6]", async () => {
    const cars = await Promise.all(Array.from({ length: 4 }, () => fleet.addCar({ online: false })));
    const [bad] = cars;
    if (bad === undefined) throw new Error("there is no car");
    const transactions: number[] = [];
    const taken: string[] = [];
    const refused: string[] = [];
    const ingester = createIngester({
      db: fleet.db,
      async handle(_tx, messages: readonly FromCar[]) {
        transactions.push(messages.length);
        if (messages.some((message) => message.kind === "report" && message.report.seq === 666))
          throw new Error("nobody knows why");
        taken.push(...messages.map(({ vin }) => vin));
      },
      onRefused: (reason) => refused.push(reason),
      logger: fleet.context.logger,
    });
    const say = (car: TestCar, seq: number) =>
      new Promise<void>((resolve) =>
        ingester.take({
          topic: topicOf(parseVin(car.vin), "report"),
          payload: Buffer.from(tokenOf(car, { seq })),
          acknowledge: resolve,
        }),
      );
    // The first is taken alone; the others have gathered by the time it is done.
    const said = [say(bad, 1)];
    for (let seq = 2; seq <= 60; seq += 1) for (const car of cars) said.push(say(car, seq));
    said.push(say(bad, 666));
    await Promise.all(said);
    await ingester.stop();
    expect(taken).toHaveLength(1 + 59 * 4);
    expect(refused).toEqual(["untakeable"]);
    expect(transactions.length).toBeLessThan(25);
  });
});

describe("messages on a car's screen", () => {
  test("another car's acknowledgement has no effect, the car's own has", async () => {
    const [car, other] = [await fleet.addCar({ online: false }), await fleet.addCar({ online: false })];
    const displayId = newId();
    const content = { kind: "notice", title: "A title", body: "A body" } as const;
    const expiresAt = new Date(fleet.clock.now().getTime() + 3_600_000);
    await fleet.db
      .transaction()
      .execute((tx) =>
        fleet.context.publish(tx, "displayRequested", [
          { vehicleId: car.vehicleId, displayId, content, expiresAt },
        ]),
      );
    const acknowledge = async (by: TestCar) => {
      const client = await connectAs(by);
      const vin = parseVin(by.vin);
      const ack = { vin, id: displayId, result: "shown", at: new Date().toISOString() } as const;
      await client.publishAsync(topicOf(vin, "display-ack"), signDisplayAck(ack, by.identity.proofKey), {
        qos: 1,
      });
      // What a car says is taken in its order.
      await client.publishAsync(topicOf(vin, "report"), tokenOf(by));
      await fleet.waitUntil("it was heard", async () => ((await seqOf(by)) > 0 ? true : undefined));
    };
    const shown = async () =>
      (await fleet.db.selectFrom("displays").select("result").where("id", "=", displayId).executeTakeFirst())
        ?.result;
    await acknowledge(other);
    expect(await shown()).toBeNull();
    await acknowledge(car);
    await fleet.waitUntil("it is known", async () => ((await shown()) === "shown" ? true : undefined));
  });
});

describe("keys and manifests", () => {
  test("a car with an older key set is sent the keys first, then the manifest that they verify", async () => {
    const due = {
      vin: parseVin("1M8GDM9AXKP042788"),
      version: 1,
      hash: emptyManifestHash,
      proofKey: emptyManifestHash,
      entriesJson: "[]",
    };
    const rounds = [
      [
        { ...due, needsKeys: true },
        { ...due, needsKeys: false },
      ],
    ];
    const sent: string[] = [];
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const dispatcher = createDispatcher({
      async takeDue() {
        const round = rounds.shift();
        if (round === undefined) resolve();
        return round ?? [];
      },
      link: {
        start: () => {},
        stop: async () => {},
        isConnected: () => true,
        connected: async () => {},
        publish(topic) {
          sent.push(topic.slice(topic.lastIndexOf("/") + 1));
          return true;
        },
      },
      keyRing: fleet.keyRing,
      clock: fleet.clock,
      logger: fleet.context.logger,
    });
    dispatcher.start();
    await done;
    await dispatcher.stop();
    expect(sent).toEqual(["keys", "manifest", "manifest"]);
  });
});
