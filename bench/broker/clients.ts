import { readFileSync } from "node:fs";
import { topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type {
  CertificateAuthority,
  ServiceCertificates,
} from "@caas/control-plane/fleet-link/certificate-authority.ts";
import { createKeepAliveWheel } from "@caas/simulator/link/keep-alive-wheel.ts";
import { createLightTransport, loopbackAddressOf } from "@caas/simulator/link/light-transport.ts";
import { assignVin } from "@caas/simulator/stand-ins/factory/assign-vin.ts";
import { makeCarKeys, tlsPublicKeyOf } from "@caas/vehicle-agent/identity/keys.ts";
import type { TlsCredential } from "@caas/vehicle-agent/link/server-trust.ts";
import type { CarLink } from "@caas/vehicle-agent/link/transport.ts";
import type { MeasuredBroker } from "./rival-brokers.ts";

// Cars as a broker sees them: a connection, a will, a subscription. The agent itself is not measured here.

/** How a car connects: `tls` authenticates the broker alone, `mutualTls` the car as well. */
export type WayIn = "plain" | "tls" | "mutualTls";

export type MeasuredCar = { vin: Vin; link: CarLink };

/** What cars authenticate with over TLS: one certificate per car. */
export type CarCertificates = { ca: string; of: ReadonlyMap<Vin, TlsCredential> };

/** Beyond the numbers of the factory and of seeded fleets. */
const firstSerial = 900_001;
/** As many handshakes at a time as a reconnecting fleet keeps under way. */
const connectedAtOnce = 64;

export const vinOf = (index: number): Vin => assignVin(firstSerial + index);
const keepAlive = createKeepAliveWheel();

/** @returns the address of that way in, or `null` where the broker has none */
export function addressOf(broker: MeasuredBroker, way: WayIn): string | null {
  if (way === "plain") return broker.url;
  return way === "tls" ? broker.serverTlsUrl : broker.mutualTlsUrl;
}

/** A key and a certificate for each of the first `count` cars: about a millisecond each. */
export async function certifyCars(
  count: number,
  authority: Pick<CertificateAuthority, "issueForCar">,
  certificates: ServiceCertificates,
): Promise<CarCertificates> {
  const ca = readFileSync(certificates.caFile, "utf8");
  const of = new Map<Vin, TlsCredential>();
  for (let index = 0; index < count; index += 1) {
    const vin = vinOf(index);
    const { tlsKeyPem } = makeCarKeys();
    const { pem } = await authority.issueForCar(vin, tlsPublicKeyOf(tlsKeyPem));
    of.set(vin, { certificate: pem, key: tlsKeyPem, ca });
  }
  return { ca, of };
}

export type ConnectCars = {
  broker: MeasuredBroker;
  way: WayIn;
  /** The first car's number, and how many. */
  from: number;
  count: number;
  /** Needed over TLS. */
  certificates: CarCertificates | null;
  onMessage?(car: MeasuredCar): void;
  signal: AbortSignal;
};

/**
 * Connects cars, each with its will and subscribed to its manifests.
 * @throws Error when one is refused, or the broker has no such way in.
 */
export async function connectCars(options: ConnectCars): Promise<MeasuredCar[]> {
  const cars: MeasuredCar[] = [];
  const indexes = Array.from({ length: options.count }, (_, index) => options.from + index).values();
  async function work(): Promise<void> {
    for (const index of indexes) cars.push(await connectCar(options, index));
  }
  try {
    await Promise.all(Array.from({ length: Math.min(connectedAtOnce, options.count) }, work));
  } catch (error) {
    await dropCars(cars);
    throw error;
  }
  return cars;
}

async function connectCar(options: ConnectCars, index: number): Promise<MeasuredCar> {
  const { broker, way, certificates, onMessage } = options;
  const vin = vinOf(index);
  const url = addressOf(broker, way);
  if (url === null) throw new Error(`${broker.name} has no way in by ${way}`);
  const ofCar = certificates?.of.get(vin);
  const transport = createLightTransport({
    url,
    // A certificate needs no password beside it.
    ...(way === "mutualTls" ? { username: vin, password: null } : broker.credentialsOf({ kind: "car", vin })),
    tls: way === "plain" ? null : credentialOf(way, ofCar, certificates?.ca),
    keepAlive,
    localAddress: loopbackAddressOf(index),
  });
  let car: MeasuredCar | undefined;
  const link = await transport.connect({
    clientId: vin,
    will: { topic: topicOf(vin, "presence"), payload: "", qos: 1, retain: false },
    subscriptions: [topicOf(vin, "manifest")],
    onMessage() {
      if (car !== undefined) onMessage?.(car);
    },
    signal: options.signal,
  });
  car = { vin, link };
  return car;
}

function credentialOf(
  way: "tls" | "mutualTls",
  ofCar: TlsCredential | undefined,
  ca: string | undefined,
): TlsCredential {
  if (ca === undefined || ofCar === undefined) throw new Error("there is no certificate for this car");
  return way === "mutualTls" ? ofCar : { ...ofCar, certificate: "", key: "" };
}

/** The control plane's side: receives every car's report, and may publish to any car. */
export function connectControlPlane(
  broker: MeasuredBroker,
  filter: string,
  onReport: (topic: string) => void,
): Promise<CarLink> {
  const transport = createLightTransport({
    url: broker.url,
    ...broker.credentialsOf({ kind: "controlPlane" }),
    tls: null,
    keepAlive,
    sendsWill: false,
  });
  return transport.connect({
    clientId: "control-plane-measuring",
    will: { topic: "", payload: "", qos: 0, retain: false },
    subscriptions: [filter],
    onMessage: onReport,
    signal: new AbortController().signal,
  });
}

export async function dropCars(cars: readonly MeasuredCar[]): Promise<void> {
  for (const { link } of cars) link.drop();
  await Promise.all(cars.map(({ link }) => link.closed));
}
