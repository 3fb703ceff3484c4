import { drawExponential } from "../chance/draw.ts";
import type { Random } from "../chance/seeded-random.ts";

/** Something that switches on and off at exponential intervals. It is evaluated only when asked: no timer per car. */
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
    // Never 0: a share of 1 would otherwise switch forever within one instant.
    return meanMs === Number.POSITIVE_INFINITY ? meanMs : Math.max(1, drawExponential(this.#random, meanMs));
  }
}
