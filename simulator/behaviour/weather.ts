import { setTimeout as delay } from "node:timers/promises";
import type {
  CarLink,
  CarTransport,
  ConnectOptions,
  WireMessage,
} from "@caas/vehicle-agent/link/transport.ts";
import { drawExponential } from "../chance/draw.ts";
import type { Random } from "../chance/seeded-random.ts";
import { wordsOf } from "../command/run.ts";
import { type Attack, nextAttack } from "./attacks.ts";
import type { CarKind } from "./car-kind.ts";

// The weather over one car: its link is lost when its kind or the scenario says so, and is away for a time.

export type WeatherOptions = {
  vin: string;
  kind: CarKind;
  random: Random;
  /** Real ms of business ms. */
  realDelayMs: (businessMs: number) => number;
  /** A connection that was not made, and why. */
  onRefused: (reason: string) => void;
  onAttack: (attack: Attack["kind"]) => void;
};

/** Why a link ended because the simulation wanted it: these are no faults of the platform. */
export const weatherReasons = ["no network", "regional outage", "storm", "out of reach"] as const;
export type WeatherReason = (typeof weatherReasons)[number];

/** A class without closures: every car has one. */
export class Weather {
  readonly #options: WeatherOptions;
  #link: CarLink | null = null;
  /** Monotonic real ms until which nothing gets through. */
  #awayUntilMs = 0;
  #reason: WeatherReason | null = null;

  constructor(options: WeatherOptions) {
    this.#options = options;
  }

  over(transport: CarTransport): CarTransport {
    return { connect: (wanted) => this.#connect(transport, wanted) };
  }

  /** The link is lost without notice; the car may try again after `forMs` of real time. */
  cut(reason: WeatherReason, forMs: number): void {
    this.#awayUntilMs = Math.max(this.#awayUntilMs, performance.now() + forMs);
    this.#reason = reason;
    this.#link?.drop();
  }

  /** The car may connect again. */
  clear(): void {
    this.#awayUntilMs = 0;
  }

  async #connect(transport: CarTransport, wanted: ConnectOptions): Promise<CarLink> {
    if (performance.now() < this.#awayUntilMs) throw new Error(this.#reason ?? "no network");
    this.#reason = null;
    let link: CarLink;
    try {
      link = await transport.connect(wanted);
    } catch (error) {
      if (!wanted.signal.aborted) this.#options.onRefused(wordsOf(error));
      throw error;
    }
    this.#link = link;
    const over = new AbortController();
    const closed = link.closed.then((reason) => {
      over.abort();
      if (this.#link === link) this.#link = null;
      return this.#reason ?? reason;
    });
    this.#startLosing(over.signal);
    this.#startAttacking(link, over.signal);
    return {
      closed,
      publish: (message: WireMessage) => link.publish(message),
      close: () => link.close(),
      drop: () => link.drop(),
    };
  }

  #startLosing(signal: AbortSignal): void {
    const { kind, random, realDelayMs } = this.#options;
    // Cars that sleep in order are put to sleep by their host.
    if (kind.connectivity === undefined || kind.connectivity.goodbye) return;
    const { onlineSeconds, offlineSeconds } = kind.connectivity;
    const onlineMs = realDelayMs(drawExponential(random, onlineSeconds * 1000));
    const offlineMs = realDelayMs(drawExponential(random, offlineSeconds * 1000));
    // Node's timers end at 2^31 ms; a link that would hold for weeks holds for the run.
    if (onlineMs > 2 ** 31 - 1) return;
    delay(onlineMs, undefined, { signal, ref: false }).then(
      () => this.cut("no network", offlineMs),
      () => undefined,
    );
  }

  #startAttacking(link: CarLink, signal: AbortSignal): void {
    const { attacks } = this.#options.kind;
    if (attacks === undefined) return;
    const { vin, random, realDelayMs, onAttack } = this.#options;
    const attack = async (): Promise<void> => {
      while (!signal.aborted) {
        await delay(realDelayMs(drawExponential(random, attacks.everySeconds * 1000)), undefined, {
          signal,
          ref: false,
        });
        const next = nextAttack(vin, attacks.kinds, random);
        onAttack(next.kind);
        // The broker may cut the link for it, as it should.
        await link.publish(next.message);
      }
    };
    attack().catch(() => undefined);
  }
}
