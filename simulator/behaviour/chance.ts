import type { Random } from "../link/seeded-random.ts";

/** Exponentially distributed: how long until the next of events that come at random. */
export function drawExponential(random: Random, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

/** Log-normally distributed around `median`: no negative values, and a long tail. */
export function drawLogNormal(random: Random, median: number, sigma: number): number {
  if (sigma === 0) return median;
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}

/**
 * Something that is now so and now otherwise, for exponential times. It is looked at only when asked: a fleet that
 * waits needs no timer a car.
 */
export class Alternation {
  readonly #random: Random;
  readonly #onMs: number;
  readonly #offMs: number;
  #isOn: boolean;
  #untilMs: number;

  /** @param share of the time in which it is on; @param onMs how long it is on, on average */
  constructor(options: { share: number; onMs: number; random: Random; nowMs: number }) {
    const { share, onMs, random, nowMs } = options;
    this.#random = random;
    this.#onMs = onMs;
    this.#offMs = share === 0 ? Number.POSITIVE_INFINITY : (onMs * (1 - share)) / share;
    this.#isOn = random() < share;
    this.#untilMs = nowMs + this.#draw();
  }

  /** Whether it is on now, and when that ends. */
  at(nowMs: number): { isOn: boolean; untilMs: number } {
    while (this.#untilMs <= nowMs) {
      this.#isOn = !this.#isOn;
      this.#untilMs += this.#draw();
    }
    return { isOn: this.#isOn, untilMs: this.#untilMs };
  }

  #draw(): number {
    const meanMs = this.#isOn ? this.#onMs : this.#offMs;
    // Never nothing: a share of 1 would otherwise turn for ever within one instant.
    return meanMs === Number.POSITIVE_INFINITY ? meanMs : Math.max(1, drawExponential(this.#random, meanMs));
  }
}
