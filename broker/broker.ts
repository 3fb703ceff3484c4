import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Logger } from "pino";
import { type Authority, judgeCertificate, type Passwords, readAuthorities } from "./access/identity.ts";
import { createRevocations } from "./access/revocations.ts";
import { type ClusterOptions, openCluster } from "./cluster/cluster.ts";
import { type Admission, createDoor, type DoorLimits } from "./limits/connection-door.ts";
import { createTraffic, type TrafficLimits } from "./limits/traffic-meter.ts";
import { isLoopback } from "./loopback.ts";
import { createMetrics, type Metrics, type Transport } from "./metrics.ts";
import { createMetricsServer } from "./metrics-server.ts";
import { type MqttLimits, openMqttShell } from "./shell/mqtt-shell.ts";

export type BrokerLimits = MqttLimits &
  DoorLimits &
  TrafficLimits & { maxKeepAliveS: number; stopTimeoutMs: number; certificateSweepMs: number };

export const defaultLimits: Readonly<BrokerLimits> = {
  maxFirstFrameBytes: 4 * 1024, // a CONNECT with a will and a password is below 1 KiB
  maxFrameBytes: 64 * 1024, // a manifest of all services is below 16 KiB
  connectTimeoutMs: 5_000,
  drainTimeoutMs: 5_000,
  maxUnsentBytes: 4 * 1024 * 1024, // what one car that does not read may cost in memory
  // A TLS handshake costs about a millisecond: twice what a core can do. The burst is a fleet after a restart.
  connects: { perS: 2_000, burst: 20_000 },
  // Mobile operators have many cars behind one IPv4 address.
  connectsPerSource: { perS: 500, burst: 10_000 },
  maxConnections: 20_000, // half a gigabyte of TLS connections
  maxUnauthenticated: 10_000, // a reconnecting fleet for five seconds; each may hold 4 KiB
  maxSubscriptions: 8, // a car subscribes to three topics
  maxInflight: 256, // a car is sent a handful of messages per minute
  carMessages: { perS: 50, burst: 500 }, // telemetry stored while offline comes in a burst
  carBytes: { perS: 128 * 1024, burst: 4 * 1024 * 1024 },
  evictAfterMs: 30_000,
  certificateSweepMs: 10_000, // a sixth of the minute within which a car must be cut
  maxKeepAliveS: 1_200, // with more, a dead car would count as online for half an hour
  stopTimeoutMs: 1_500,
};

/** A place to listen; port 0 takes a free one. */
export type Listener = { host: string; port: number };

export type BrokerOptions = {
  policy: "fleet" | "open";
  /** Plain MQTT, on loopback only. */
  tcp?: Listener | undefined;
  /** MQTT over mutual TLS; `key`, `cert` and `clientCa` are PEM. */
  tls?: (Listener & { key: string; cert: string; clientCa: string }) | undefined;
  metrics?: Listener | undefined;
  /** Needed on `tcp` under the fleet policy. */
  passwords?: Passwords | undefined;
  /** Business time: judges certificates. */
  now: () => Date;
  log: Logger;
  limits?: Partial<BrokerLimits>;
  /** Literal addresses to which no connect rate applies: the control plane's. */
  exemptAddresses?: readonly string[] | undefined;
  /** The fleet's root (raw Ed25519, base64url), which revocation lists are verified with. */
  rootPublicKey?: string | undefined;
  /** Folder where the newest revocation list survives a restart. */
  stateDir?: string | undefined;
  /** An aedes persistence for sessions and retained presence; without one both live in memory. */
  persistence?: unknown;
  /** One of several processes, over Redis; under the fleet policy. */
  cluster?: ClusterOptions | undefined;
};

/** The bound ports; `null` where that listener is not wanted. */
export type BrokerAddresses = { tcpPort: number | null; tlsPort: number | null; metricsPort: number | null };

export type Broker = {
  /** @throws Error with a clear sentence when the options are unsafe or a port cannot be had. */
  start(): Promise<BrokerAddresses>;
  /** Ends every connection and listener, within 2 s; stopping twice is harmless. */
  stop(): Promise<void>;
};

export function createBroker(options: BrokerOptions): Broker {
  const limits = { ...defaultLimits, ...options.limits };
  const closers: Array<() => Promise<void>> = [];
  let isReady = false;

  async function start(): Promise<BrokerAddresses> {
    if (closers.length > 0) throw new Error("the broker is already started");
    refuseUnsafe(options);
    const authorities = options.tls === undefined ? [] : readAuthorities(options.tls.clientCa);
    const metrics = createMetrics(performance.now(), () => performance.now());
    const { log, passwords, persistence, policy, now } = options;
    const monotonicMs = () => performance.now();
    const exemptAddresses = new Set(options.exemptAddresses);
    const door = createDoor(limits, { exemptAddresses, metrics, monotonicMs });
    const traffic = createTraffic(limits, metrics, monotonicMs);
    const { rootPublicKey, stateDir } = options;
    const cluster =
      options.cluster === undefined
        ? undefined
        : openCluster(options.cluster, {
            onRevocations: (payload) => shell.takeRevocations(payload),
            metrics,
            log,
          });
    const onForce = (parts: readonly string[]): void => cluster?.revocationsInForce(parts);
    const revocations = createRevocations({ rootPublicKey, stateDir, now, metrics, log, onForce });
    await revocations.load();
    const rules = policy === "open" ? { policy } : { policy, passwords, maxKeepAliveS: limits.maxKeepAliveS };
    const shell = await openMqttShell({
      rules,
      limits,
      traffic,
      revocations,
      metrics,
      log,
      persistence,
      cluster,
    });
    // Wills are published while the other processes can still be reached.
    closers.push(() =>
      withinMs(
        shell.close().then(() => cluster?.close()),
        limits.stopTimeoutMs,
      ),
    );
    cluster?.start();
    closers.push(() => withinMs(revocations.settled(), limits.stopTimeoutMs));
    // Our only timers: there is none per client.
    const sweeps = [
      setInterval(() => {
        door.sweep();
        traffic.sweep();
      }, sweepMs),
      setInterval(() => shell.cutExpired(now()), limits.certificateSweepMs),
    ];
    closers.push(async () => sweeps.forEach(clearInterval));

    async function open(server: Server, at: Listener): Promise<number> {
      const sockets = new Set<Socket>();
      server.on("connection", (socket: Socket) => {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      });
      const port = await listen(server, at);
      server.on("error", (error) => log.error({ err: error }, "listener error"));
      closers.push(() => close(server, sockets));
      return port;
    }

    function track(socket: Socket): void {
      // Socket errors are normal; the shell adds its own listener and counts them.
      socket.on("error", () => {});
      metrics.socketOpened(socket);
      socket.once("close", () => metrics.socketClosed(socket));
    }

    try {
      const tcp = createTcpServer({ noDelay: true }, (socket) => {
        const admission = door.admit(socket, "tcp");
        if (admission === undefined) return;
        track(socket);
        shell.accept(socket, { transport: "tcp" }, admission);
      });
      const tcpPort = options.tcp === undefined ? null : await open(tcp, options.tcp);

      let tlsPort: number | null = null;
      if (options.tls !== undefined) {
        const { key, cert, clientCa } = options.tls;
        // Admitted before the handshake; TLS passes on another socket with the same remote end.
        const admissions = new Map<string, Admission>();
        // The handshake accepts every client: OpenSSL judges dates by the machine's clock, we by business time.
        const tls = createTlsServer(
          {
            key,
            cert,
            ca: clientCa,
            requestCert: true,
            rejectUnauthorized: false,
            handshakeTimeout: limits.connectTimeoutMs,
            minVersion: "TLSv1.2",
          },
          (socket) => {
            const admission = admissions.get(remoteEnd(socket));
            if (admission === undefined) return void socket.destroy();
            track(socket);
            const verdict = judgePeer(socket, authorities, now());
            if (verdict.status === "refused") {
              refuseConnection(metrics, log, "tls", verdict.reason);
              return void socket.destroy();
            }
            const { identity, serialNumber, expiresAt } = verdict;
            if (identity.kind === "car" && revocations.isRevoked(identity.vin, serialNumber)) {
              refuseConnection(metrics, log, "tls", "revoked");
              return void socket.destroy();
            }
            shell.accept(socket, { transport: "tls", identity, serialNumber, expiresAt }, admission);
          },
        );
        const gate = createTcpServer({ noDelay: true }, (socket) => {
          const admission = door.admit(socket, "tls");
          if (admission === undefined) return;
          const end = remoteEnd(socket);
          admissions.set(end, admission);
          socket.once("close", () => admissions.delete(end));
          tls.emit("connection", socket);
        });
        tls.on("tlsClientError", (_error, socket) => {
          refuseConnection(metrics, log, "tls", "tls-handshake");
          socket.destroy();
        });
        tlsPort = await open(gate, options.tls);
      }

      const metricsServer = createMetricsServer(metrics.registry, () => ({
        isReady: isReady && cluster?.isUp() !== false,
        ...(cluster === undefined ? {} : { redis: cluster.isUp() ? "up" : "down" }),
      }));
      const metricsPort = options.metrics === undefined ? null : await open(metricsServer, options.metrics);
      isReady = true;
      return { tcpPort, tlsPort, metricsPort };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async function stop(): Promise<void> {
    isReady = false;
    const closing = closers.splice(0);
    await Promise.all(closing.map((run) => run()));
  }

  return { start, stop };
}

/** How often pauses and time limits are checked. */
const sweepMs = 250;

function remoteEnd(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}`;
}

function refuseUnsafe(options: BrokerOptions): void {
  const { policy, tcp, tls, passwords, cluster } = options;
  if (policy === "open" && cluster !== undefined)
    throw new Error("several processes over Redis serve a fleet: the open policy is for a single process");
  if (tcp !== undefined && !isLoopback(tcp.host))
    throw new Error(`plain MQTT is for loopback only: refusing to listen on ${tcp.host}, use TLS there`);
  if (policy === "open" && tls !== undefined && !isLoopback(tls.host))
    throw new Error(`the open policy lets every client do anything: refusing to listen on ${tls.host}`);
  if (policy === "fleet" && tcp !== undefined && passwords === undefined)
    throw new Error(
      "plain MQTT under the fleet policy needs the car secret and the control plane's password",
    );
}

function refuseConnection(metrics: Metrics, log: Logger, transport: Transport, reason: string): void {
  metrics.connectRefused(transport, reason);
  log.warn({ reason }, "connection refused");
}

function judgePeer(socket: TLSSocket, authorities: readonly Authority[], now: Date) {
  // Typed as Error, but it is the code itself.
  const objection: unknown = socket.authorizationError;
  return judgeCertificate(
    {
      certificate: socket.getPeerX509Certificate(),
      authorized: socket.authorized,
      errorCode: typeof objection === "string" ? objection : undefined,
    },
    authorities,
    now,
  );
}

function listen(server: Server, { host, port }: Listener): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("a listener without a port"));
      else resolve(address.port);
    });
  });
}

function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}

async function withinMs(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
