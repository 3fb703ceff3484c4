import type { Clock } from "@caas/contract/business-clock.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { createFactory } from "../partners/factory.ts";
import type { Mail, MailMessage } from "../partners/mail.ts";
import { createPaymentGateway } from "../partners/payment-gateway.ts";
import { createRegistrationAuthority } from "../partners/registration-authority.ts";
import { createCarrier } from "../partners/transport.ts";
import type { Vss } from "../partners/vss.ts";
import { readDecline } from "../rules/decline-table.ts";
import type { Partners } from "../wiring.ts";

/** A clock that a test moves. */
export type FakeClock = Clock & { advanceMs(ms: number): void; set(to: Date): void };

export function createFakeClock(start: Date): FakeClock {
  let nowMs = start.getTime();
  return {
    now: () => new Date(nowMs),
    advanceMs: (ms) => {
      nowMs += ms;
    },
    set: (to) => {
      nowMs = to.getTime();
    },
  };
}

export type FakePartners = Partners & { vss: FakeVss; mail: Mailbox };

/**
 * Workshops and mail in memory, which answer at once as the test says. Gateway, factory, authority and carrier are not
 * there: a test that needs one of them starts its stand-in.
 */
export function createFakePartners(clock: Clock): FakePartners {
  const nowhere = { baseUrl: "http://127.0.0.1:9", apiKey: "unused" };
  return {
    gateway: createPaymentGateway({ ...nowhere, readDecline }),
    vss: createFakeVss(clock),
    mail: createMailbox(),
    factory: createFactory(nowhere),
    registrationAuthority: createRegistrationAuthority(nowhere),
    carrier: createCarrier(nowhere),
  };
}

export type FakeVss = Vss & { says: "current" | "overdue" | "unavailable" };

function createFakeVss(clock: Clock): FakeVss {
  const vss: FakeVss = {
    says: "current",
    async askMaintenance() {
      if (vss.says === "unavailable") return { status: "unavailable", reason: "said by the test" };
      const nextDueOn = new Date(clock.now().getTime() + 365 * dayMs).toISOString().slice(0, 10);
      return { status: vss.says, nextDueOn, nextDueKm: 15_000, lastServiceOn: null };
    },
    registerPlan: async () => "registered",
  };
  return vss;
}

export type Mailbox = Mail & {
  letters: MailMessage[];
  to(address: string): MailMessage[];
  /** The newest password that was mailed there. @throws when there is none */
  passwordOf(address: string): string;
  /** Takes none of the next letters, as a mail server that is down. */
  fail(count: number): void;
  /** Takes none of the next letters, and never will. */
  refuse(count: number): void;
};

const passwordPattern = /caas-[A-Za-z0-9_-]{32}/;

function createMailbox(): Mailbox {
  const letters: MailMessage[] = [];
  let failures = 0;
  let refusals = 0;
  const to = (address: string) => letters.filter((letter) => letter.to === address);
  return {
    letters,
    to,
    passwordOf(address) {
      const [password] = to(address)
        .flatMap(({ text }) => passwordPattern.exec(text)?.[0] ?? [])
        .slice(-1);
      if (password === undefined) throw new Error(`no password was mailed to ${address}`);
      return password;
    },
    fail(count) {
      failures = count;
    },
    refuse(count) {
      refusals = count;
    },
    async send(message) {
      if (failures > 0) {
        failures -= 1;
        return { kind: "unavailable", reason: "the mail server is down" };
      }
      if (refusals > 0) {
        refusals -= 1;
        return { kind: "refused", reason: "501 no such address" };
      }
      letters.push(message);
      return { kind: "accepted", providerId: `<${message.id}@mail.example>` };
    },
    close() {},
  };
}
