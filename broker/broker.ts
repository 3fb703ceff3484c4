import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Logger } from "pino";
import { type Authority, judgeCertificate, type Passwords, readAuthorities } from "./identity.ts";
import { isLoopback } from "./loopback.ts";
import { createMetrics, type Metrics, type Transport } from "./metrics.ts";
import { createMetricsServer } from "./metrics-server.ts";
import { type MqttLimits, openMqttShell } from "./mqtt-shell.ts";

export type BrokerLimits = MqttLimits & { maxKeepAliveS: number; stopTimeoutMs: number };

export const defaultLimits: Readonly<BrokerLimits> = {
  maxFirstFrameBytes: 4 * 1024, // a CONNECT with a will and a password is below 1 KiB
  maxFrameBytes: 64 * 1024, // a manifest of all services is below 16 KiB
  connectTimeoutMs: 5_000,
  drainTimeoutMs: 5_000,
  maxUnsentBytes: 4 * 1024 * 1024, // what one car that does not read may cost in memory
  maxKeepAliveS: 1_200, // beyond it a dead car would be called online for half an hour
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
  /** An aedes persistence for sessions and retained presence; without one both live in memory. */
  persistence?: unknown;
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
    const { log, passwords, persistence, policy } = options;
    const rules = policy === "open" ? { policy } : { policy, passwords, maxKeepAliveS: limits.maxKeepAliveS };
    const shell = await openMqttShell({ rules, limits, metrics, log, persistence });
    closers.push(() => withinMs(shell.close(), limits.stopTimeoutMs));

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
      // Errors on a socket are everyday life; the shell adds its own listener and counts them.
      socket.on("error", () => {});
      metrics.socketOpened(socket);
      socket.once("close", () => metrics.socketClosed(socket));
    }

    try {
      const tcp = createTcpServer({ noDelay: true }, (socket) => {
        track(socket);
        shell.accept(socket, { transport: "tcp" });
      });
      const tcpPort = options.tcp === undefined ? null : await open(tcp, options.tcp);

      let tlsPort: number | null = null;
      if (options.tls !== undefined) {
        const { key, cert, clientCa } = options.tls;
        // The handshake lets everybody through: OpenSSL judges dates by the machine's clock, we by business time.
        const tls = createTlsServer(
          {
            key,
            cert,
            ca: clientCa,
            requestCert: true,
            rejectUnauthorized: false,
            handshakeTimeout: limits.connectTimeoutMs,
            minVersion: "TLSv1.2",
            noDelay: true,
          },
          (socket) => {
            track(socket);
            const verdict = judgePeer(socket, authorities, options.now());
            if (verdict.status === "known") {
              shell.accept(socket, { transport: "tls", identity: verdict.identity });
              return;
            }
            refuseConnection(metrics, log, "tls", verdict.reason);
            socket.destroy();
          },
        );
        tls.on("tlsClientError", (_error, socket) => {
          refuseConnection(metrics, log, "tls", "tls-handshake");
          socket.destroy();
        });
        tlsPort = await open(tls, options.tls);
      }

      const metricsServer = createMetricsServer(metrics.registry, () => isReady);
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

function refuseUnsafe(options: BrokerOptions): void {
  const { policy, tcp, tls, passwords } = options;
  if (tcp !== undefined && !isLoopback(tcp.host))
    throw new Error(`plain MQTT is for loopback only: refusing to listen on ${tcp.host}, use TLS there`);
  if (policy === "open" && tls !== undefined && !isLoopback(tls.host))
    throw new Error(`the open policy lets anybody do anything: refusing to listen on ${tls.host}`);
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
  // Its type says Error, but it is the code itself.
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
