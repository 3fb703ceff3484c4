import { carPassword } from "@caas/contract/car-password.ts";
import { parseVin } from "@caas/contract/vin.ts";
import {
  connectControlPlane,
  passwords,
  type RunningBroker,
  startBroker,
  testVin,
} from "../../broker/testing/fleet.ts";
import { createTestSigner, entry } from "../../vehicle-agent/testing/test-signer.ts";
import { createCarStorage, createIntern } from "../fleet/car-storage.ts";
import { installCredentials } from "../fleet/credentials.ts";
import type { StoredCar } from "../fleet/fleet-file.ts";
import { makeCredentials, type TestCredentials } from "../fleet/testing/make-credentials.ts";
import { type ManifestSender, startManifestSender } from "../fleet/testing/manifest-sender.ts";
import type { World } from "../run/world.ts";

/** A world of a real broker, real cars and the least that can be called a control plane. */
export type SmallWorld = World & { sender: ManifestSender; credentials: readonly TestCredentials[] };

export async function openSmallWorld(cars: number): Promise<SmallWorld> {
  const signer = createTestSigner();
  let running: RunningBroker = await startBroker();
  const port = running.tcpPort;
  const brokerUrl = `mqtt://127.0.0.1:${port}`;
  const credentials = Array.from({ length: cars }, (_, index) => {
    const vin = testVin(index + 1);
    const broker = { url: brokerUrl, username: vin, password: carPassword(passwords.carSecret, vin) };
    return makeCredentials(vin, signer, broker);
  });
  const intern = createIntern();
  const stored: StoredCar[] = [];
  for (const { credentials: own } of credentials) {
    const storage = createCarStorage(intern);
    await installCredentials(storage, own);
    stored.push({ vin: own.vin, car: storage.image() });
  }
  const client = await connectControlPlane(port, { reconnectPeriod: 50 });
  const sender = await startManifestSender(client, signer, credentials);
  // As the platform does: a car that has not answered is sent the same again.
  const resending = sender.converge(-1);
  resending.catch(() => undefined);
  let version = 0;
  return {
    describes: "a broker and a sender of manifests",
    cars: stored,
    packages: [],
    brokerUrl,
    restUrl: null,
    businessTime: null,
    owners: [],
    async changeCars(vins) {
      version += 1;
      for (const vin of vins) sender.order(parseVin(vin), version, [entry("release")]);
      return new Map(vins.map((vin) => [vin, version]));
    },
    makeKnown: null,
    async restartBroker(downMs) {
      await running.broker.stop();
      await new Promise((resolve) => setTimeout(resolve, downMs));
      running = await startBroker({ tcp: { host: "127.0.0.1", port } });
    },
    changeKeys: null,
    dealership: null,
    scrape: [],
    partTimes: null,
    keepCars: null,
    failures: () => [],
    async stop() {
      await sender.stop();
      await running.broker.stop();
    },
    sender,
    credentials,
  };
}
