import { topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { describe, expect, test } from "vitest";
import {
  connectCar,
  connectControlPlane,
  hear,
  passwords,
  readMetric,
  startBroker,
  testVin,
} from "../testing/fleet.ts";
import { connectPacket, openRaw, type RawConnection } from "../testing/raw-connection.ts";

describe("a subscriber that never reads [fault 17]", () => {
  const payload = Buffer.alloc(60_000); // with many of these every buffer on the way is full

  /** A car that has subscribed to its manifest, with its presence as will, and stops reading. */
  async function stall(port: number, vin: Vin): Promise<RawConnection> {
    const stalled = await openRaw(port);
    const topic = topicOf(vin, "presence");
    stalled.send(
      connectPacket(vin, { will: { topic, payload: Buffer.from("offline"), qos: 1, retain: true } }),
    );
    await stalled.next();
    const subscriptions = [{ topic: topicOf(vin, "manifest"), qos: 1 } as const];
    stalled.send({ cmd: "subscribe", messageId: 1, subscriptions });
    await stalled.next();
    stalled.socket.pause();
    return stalled;
  }

  test.each([0, 1] as const)(
    "the others get all their messages while it is still connected (QoS %i)",
    async (qos) => {
      const own = await startBroker({ limits: { maxUnsentBytes: 64 * 1024 * 1024 } });
      const [stalledVin, vin] = [testVin(13), testVin(14)];
      const watcher = await connectControlPlane(own.tcpPort, { clientId: "control-plane-watcher" });
      await watcher.subscribeAsync(topicOf(stalledVin, "presence"), { qos: 1 });
      const order: string[] = [];
      const stalledWentOffline = hear(watcher, 1).then(() => order.push("the stalled car was cut"));
      await stall(own.tcpPort, stalledVin);

      const car = await connectCar(own.tcpPort, vin);
      await car.subscribeAsync(topicOf(vin, "manifest"), { qos: 1 });
      const rounds = 250;
      const otherGotAll = hear(car, rounds).then(() => order.push("the other car got everything"));

      // One connection sends to both, as the control plane does.
      const controlPlane = await connectControlPlane(own.tcpPort);
      for (let round = 0; round < rounds; round++) {
        controlPlane.publish(topicOf(stalledVin, "manifest"), payload, { qos });
        controlPlane.publish(topicOf(vin, "manifest"), `message ${round}`, { qos });
      }
      await Promise.all([otherGotAll, stalledWentOffline]);
      expect(order).toEqual(["the other car got everything", "the stalled car was cut"]);
      const cut = 'caas_broker_connections_cut_total{reason="slow-subscriber"}';
      expect(await readMetric(own.metricsPort, cut)).toBe(1);
      await own.broker.stop();
    },
    90_000,
  );

  test.each([0, 1] as const)(
    "a control plane that never reads holds up only the cars that publish to it (QoS %i)",
    async (qos) => {
      const own = await startBroker();
      const stalled = await openRaw(own.tcpPort);
      stalled.send(
        connectPacket(testVin(0), {
          clientId: "control-plane-stalled",
          username: "control-plane",
          password: Buffer.from(passwords.controlPlanePassword),
        }),
      );
      await stalled.next();
      stalled.send({
        cmd: "subscribe",
        messageId: 1,
        subscriptions: [{ topic: "caas/v1/+/report", qos: 1 }],
      });
      await stalled.next();
      stalled.socket.pause();
      // 15 MB for a reader that takes none: well over a hundred of these reports wait inside the broker.
      const talkers = await Promise.all(
        Array.from({ length: 250 }, async (_, n) => {
          const vin = testVin(1000 + n);
          const talker = await openRaw(own.tcpPort);
          talker.send(connectPacket(vin));
          await talker.next();
          talker.send({
            cmd: "publish",
            topic: topicOf(vin, "report"),
            payload,
            qos,
            messageId: 1,
            dup: false,
            retain: false,
          });
          if (qos === 1) expect(await talker.next()).toMatchObject({ cmd: "puback" });
          return talker;
        }),
      );
      const controlPlane = await connectControlPlane(own.tcpPort);
      await controlPlane.subscribeAsync("caas/v1/+/telemetry");
      const vin = testVin(18);
      const car = await connectCar(own.tcpPort, vin);
      const heard = hear(controlPlane, 100);
      for (let n = 0; n < 100; n++) car.publish(topicOf(vin, "telemetry"), String(n));
      expect(await heard).toHaveLength(100);
      const connected = 'caas_broker_connected_clients{transport="tcp",identity="controlPlane"}';
      expect(await readMetric(own.metricsPort, connected)).toBe(2);
      for (const { socket } of talkers) socket.destroy();
      await own.broker.stop();
    },
    90_000,
  );

  test.each([0, 1] as const)(
    "it is cut at once when its unsent bytes exceed what a car may cost in memory (QoS %i)",
    async (qos) => {
      // A time limit so long that only the bytes can be the reason.
      const own = await startBroker({ limits: { maxUnsentBytes: 1_000_000, drainTimeoutMs: 600_000 } });
      const vin = testVin(15);
      const controlPlane = await connectControlPlane(own.tcpPort);
      await controlPlane.subscribeAsync(topicOf(vin, "presence"), { qos: 1 });
      const wentOffline = hear(controlPlane, 1);
      await stall(own.tcpPort, vin);
      for (let round = 0; round < 250; round++)
        controlPlane.publish(topicOf(vin, "manifest"), payload, { qos });
      expect(await wentOffline).toMatchObject([{ payload: "offline" }]);
      await own.broker.stop();
    },
    90_000,
  );
});
