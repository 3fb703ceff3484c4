import { connect as connectTcp, type Socket, type TcpNetConnectOpts } from "node:net";
import { connect as connectTls } from "node:tls";
import { createBrokerRound } from "@caas/contract/broker-addresses.ts";
import { createPacketReader, type PacketFromBroker } from "@caas/contract/mqtt/read-packets.ts";
import {
  disconnect,
  encodeConnect,
  encodePuback,
  encodePublish,
  encodeSubscribe,
  pingRequest,
} from "@caas/contract/mqtt/write-packets.ts";
import type { TlsCredential } from "@caas/vehicle-agent/link/server-trust.ts";
import type {
  CarLink,
  CarTransport,
  ConnectOptions,
  WireMessage,
} from "@caas/vehicle-agent/link/transport.ts";
import { wordsOf } from "../command/run.ts";
import { type KeepAliveWheel, turnSeconds } from "./keep-alive-wheel.ts";
export type LightTransportOptions = {
  /**
   * `mqtts://` proves the car by its certificate; `mqtt://`, on loopback only, by VIN and password. Several with commas
   * are processes of one broker.
   */
  url: string;
  username: string;
  /** `null` sends no user name either, for brokers that let everyone in. */
  password: string | null;
  /** Needed with `mqtts://`; a function is asked before every connection. */
  tls: TlsCredential | (() => TlsCredential) | null;
  /** Shared by all cars of the process. */
  keepAlive: KeepAliveWheel;
  /** `false` connects without a will, which a broker takes only from cars. Default true. */
  sendsWill?: boolean;
  /** Connects from this address; see `loopbackAddressOf`. */
  localAddress?: string | undefined;
};

const connectTimeoutMs = 10_000;
/** A disconnect that takes longer is not waited for. */
const closeTimeoutMs = 2_000;
const packetIds = 65_535;
const refusedSubscription = 0x80;
/** Our broker passes up to 64 KiB; a peer that claims more is not ours. */
const maxPacketBytes = 128 * 1024;

/** Below the 28,232 ports Linux gives out by default: one address has no more towards one broker. */
const carsPerAddress = 20_000;

/**
 * The address the `index`-th car connects from: `undefined` (the system's choice) for the first 20,000, then
 * 127.0.0.2 and so on. Only Linux answers on all of 127/8.
 */
export function loopbackAddressOf(index: number): string | undefined {
  const block = Math.floor(index / carsPerAddress);
  return block === 0 ? undefined : `127.0.0.${block + 1}`;
}

/** Every plain socket reads into it: a chunk is copied before the next is read. */
type ReadInto = NonNullable<TcpNetConnectOpts["onread"]>;
const readBufferBytes = 64 * 1024;
let sharedReadBuffer: Buffer | null = null;

/**
 * `CarTransport` for thousands of cars in one process: MQTT 3.1.1 on a bare socket, clean session, QoS 1 both
 * ways, one timer for the keep-alive of all.
 */
export function createLightTransport(options: LightTransportOptions): CarTransport {
  if (!options.url.includes(","))
    return {
      connect(wanted) {
        if (wanted.signal.aborted) return Promise.reject(new Error("stopped"));
        return new LightLink(options, wanted).opened;
      },
    };
  const round = createBrokerRound(options.url, options.username);
  return {
    async connect(wanted) {
      if (wanted.signal.aborted) throw new Error("stopped");
      try {
        return await new LightLink({ ...options, url: round.current() }, wanted).opened;
      } catch (error) {
        round.failed();
        throw error;
      }
    },
  };
}

type Waiting = { resolve: () => void; reject: (error: Error) => void };

/** A class, so that a car costs its fields and no closures. */
class LightLink implements CarLink {
  readonly closed: Promise<string>;
  readonly opened: Promise<CarLink>;
  readonly #socket: Socket;
  readonly #options: LightTransportOptions;
  readonly #onMessage: ConnectOptions["onMessage"];
  #opening: { resolve: (link: CarLink) => void; reject: (error: Error) => void } | null = null;
  #reason = "the broker closed the connection";
  #isOver = false;
  /** Whether anything came since the wheel's last beat. */
  #wasHeard = true;
  #leaveWheel: (() => void) | null = null;
  #lastId = 0;
  #unacknowledged: Map<number, Waiting> | null = null;
  readonly #unsent: Buffer[] = [];

  constructor(options: LightTransportOptions, wanted: ConnectOptions) {
    this.#options = options;
    this.#onMessage = wanted.onMessage;
    this.opened = new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
    });
    const read = createPacketReader(maxPacketBytes, (packet) => this.#take(packet, wanted));
    const socket = openSocket(options, (chunk) => {
      try {
        read(chunk);
      } catch (error) {
        this.#end(wordsOf(error));
      }
    });
    this.#socket = socket;
    const abort = (): void => this.#end("stopped");
    wanted.signal.addEventListener("abort", abort, { once: true });
    const forgetSignal = (): void => wanted.signal.removeEventListener("abort", abort);
    this.opened.then(forgetSignal, forgetSignal);
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#finish();
        resolve(this.#reason);
      });
    });
    socket.on("error", (error) => {
      this.#reason = error.message;
    });
    socket.once("end", () => socket.destroy());
    socket.setTimeout(connectTimeoutMs);
    socket.on("timeout", () =>
      this.#end(this.#opening === null ? this.#reason : "the broker did not answer in time"),
    );
    socket.once(options.url.startsWith("mqtts:") ? "secureConnect" : "connect", () => {
      const { username, password } = options;
      socket.write(
        encodeConnect({
          clientId: wanted.clientId,
          keepAliveSeconds: 2 * turnSeconds,
          credentials: password === null ? null : { username, password },
          will: (options.sendsWill ?? true) ? wanted.will : null,
        }),
      );
    });
  }

  publish(message: WireMessage): Promise<void> {
    if (this.#isOver || this.#socket.destroyed) return Promise.reject(new Error(this.#reason));
    if (message.qos === 0) {
      this.#write(encodePublish(message, 0));
      return Promise.resolve();
    }
    this.#unacknowledged ??= new Map();
    const waiting = this.#unacknowledged;
    const id = this.#nextId();
    this.#write(encodePublish(message, id));
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
    });
  }

  async close(): Promise<void> {
    this.#reason = "closed";
    if (!this.#socket.destroyed) {
      this.#socket.setTimeout(closeTimeoutMs);
      this.flush();
      this.#socket.end(disconnect);
    }
    await this.closed;
  }

  drop(): void {
    this.#end("dropped");
  }

  #take(packet: PacketFromBroker, wanted: ConnectOptions): void {
    this.#wasHeard = true;
    switch (packet.kind) {
      case "connack":
        if (packet.returnCode === 0) {
          const subscriptions = wanted.subscriptions.map((topic) => ({ topic, qos: 1 as const }));
          this.#write(encodeSubscribe(this.#nextId(), subscriptions));
        } else this.#end(`the broker refused with code ${packet.returnCode}`);
        return;
      case "suback":
        if (packet.returnCodes.includes(refusedSubscription)) this.#end("the broker refused a subscription");
        else this.#open();
        return;
      case "puback": {
        const waiting = this.#unacknowledged?.get(packet.id);
        this.#unacknowledged?.delete(packet.id);
        waiting?.resolve();
        return;
      }
      case "publish":
        if (this.#isOver) return;
        // A copy, because the next chunk is read into the same buffer.
        this.#onMessage(packet.topic, Buffer.from(packet.payload));
        if (packet.qos === 1 && !this.#socket.destroyed) this.#write(encodePuback(packet.id));
        return;
      case "pingresp":
        return;
    }
  }

  #open(): void {
    this.#socket.setTimeout(0);
    this.#leaveWheel ??= this.#options.keepAlive.join(() => this.#beat());
    this.#opening?.resolve(this);
    this.#opening = null;
  }

  #beat(): void {
    if (this.#wasHeard) {
      this.#wasHeard = false;
      this.#write(pingRequest);
    } else this.#end("the broker fell silent");
  }

  /** All writes of one turn of the event loop go out in one system call: an answer with its acknowledgement. */
  #write(bytes: Buffer): void {
    const { length } = this.#unsent;
    this.#unsent.push(bytes);
    if (length === 0) flushLater(this);
  }

  /** Writes what was collected to the socket. */
  flush(): void {
    const [first, ...more] = this.#unsent;
    if (first === undefined) return;
    this.#unsent.length = 0;
    if (!this.#socket.destroyed)
      this.#socket.write(more.length === 0 ? first : Buffer.concat([first, ...more]));
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % packetIds) + 1;
    while (this.#unacknowledged?.has(this.#lastId));
    return this.#lastId;
  }

  #end(reason: string): void {
    if (!this.#isOver) this.#reason = reason;
    this.#socket.destroy();
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leaveWheel?.();
    const error = new Error(this.#reason);
    this.#opening?.reject(error);
    this.#opening = null;
    for (const waiting of this.#unacknowledged?.values() ?? []) waiting.reject(error);
    this.#unacknowledged = null;
  }
}

// Links with pending writes. A car that has received a manifest completes its whole change before the turn of the
// loop ends, and a system call costs as much as a tenth of it.
const unflushed: LightLink[] = [];
/** Writes of at most this many cars are held back: the broker must not be idle while a whole wave is processed. */
const mostUnflushed = 16;
let isFlushPlanned = false;

function flushLater(link: LightLink): void {
  unflushed.push(link);
  if (unflushed.length > mostUnflushed) flushAll();
  else if (!isFlushPlanned) {
    isFlushPlanned = true;
    setImmediate(() => {
      isFlushPlanned = false;
      flushAll();
    });
  }
}

function flushAll(): void {
  for (const link of unflushed.splice(0)) link.flush();
}

function openSocket(
  { url, tls, localAddress }: LightTransportOptions,
  take: (chunk: Buffer) => void,
): Socket {
  const { protocol, hostname: host, port: givenPort } = new URL(url);
  const isTls = protocol === "mqtts:";
  const port = Number(givenPort || (isTls ? 8883 : 1883));
  const from = localAddress === undefined ? {} : { localAddress };
  if (isTls) {
    if (tls === null) throw new Error(`${url} needs the car's certificate`);
    const { certificate: cert, key, ca } = typeof tls === "function" ? tls() : tls;
    const socket = connectTls({ host, port, cert, key, ca, ...from });
    socket.setNoDelay(true);
    socket.on("data", take);
    return socket;
  }
  sharedReadBuffer ??= Buffer.allocUnsafeSlow(readBufferBytes);
  const buffer = sharedReadBuffer;
  const onread: ReadInto = {
    buffer,
    callback(bytes) {
      take(buffer.subarray(0, bytes));
      return true;
    },
  };
  return connectTcp({ host, port, noDelay: true, onread, ...from });
}
