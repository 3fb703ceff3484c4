import { createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type StandInName, type StandIns, startStandIns } from "../testing/stand-ins.ts";
import type { Partners } from "../wiring.ts";
import { createMail } from "./mail.ts";
import { PartnerUnavailable } from "./partner-error.ts";

const vin = "WCAZZZ1B3TA000001";
const names = ["gateway", "factory", "authority", "carrier", "vss"] as const;

let standIns: StandIns;
let partners: Partners;
beforeAll(async () => {
  standIns = await startStandIns([...names, "inbox"]);
  const { gateway, factory, registrationAuthority, carrier, vss, mail } = standIns.partners;
  if (!gateway || !factory || !registrationAuthority || !carrier || !vss || !mail)
    throw new Error("a stand-in gives no partner");
  partners = { gateway, factory, registrationAuthority, carrier, vss, mail };
});
afterAll(() => standIns?.close());

/** One question to each partner. */
const ask: Record<(typeof names)[number], () => Promise<unknown>> = {
  gateway: () => partners.gateway.retrieve("pi_none"),
  factory: () =>
    partners.factory.placeOrder({ reference: "1", configuration: { base: "a", options: [] } }, 1),
  authority: () =>
    partners.registrationAuthority.register(
      {
        reference: "1",
        vin,
        owner: {
          name: "Ana Ruiz",
          address: { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" },
        },
      },
      1,
    ),
  carrier: () =>
    partners.carrier.arrange(
      {
        reference: "1",
        vin,
        date: "2026-03-05",
        destination: { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" },
        contactPhone: "+34600111222",
      },
      1,
    ),
  vss: () => partners.vss.registerPlan(vin, { soldOn: "2026-03-02", planMonths: 12, planKm: 15_000 }),
};

/** Twice the time-out of the stand-ins' clients: an answer that is waited for without end is far above it. */
const boundMs = 5_000;

describe("an answer of a partner that never ends", () => {
  afterEach(async () => {
    for (const name of names) await standIns.of(name).control("DELETE", "/_control/faults");
  });

  test.each(
    names.flatMap((name) =>
      (["answerEndlesslyNext", "answerSlowlyNext"] as const).map((fault) => [name, fault] as const),
    ),
  )(
    "%s, %s: the call ends within its time as unanswered, and the next one works [R5]",
    async (name, fault) => {
      const standIn: StandInName = name;
      await standIns.of(standIn).control("PUT", "/_control/faults", { [fault]: { count: 1 } });
      const begunAt = performance.now();
      const error = await ask[name]().then(
        () => "answered",
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(PartnerUnavailable);
      expect(performance.now() - begunAt).toBeLessThan(boundMs);
      const after = await ask[name]().then(
        () => "answered",
        (thrown: unknown) => thrown,
      );
      expect(after).not.toBeInstanceOf(PartnerUnavailable);
    },
  );
});

describe("a mail server whose answer never ends", () => {
  const open: Socket[] = [];
  let server: Server | undefined;
  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy();
    server?.close();
  });

  async function listen(greet: (socket: Socket) => void): Promise<string> {
    server = createServer((socket) => {
      open.push(socket);
      socket.on("error", () => undefined);
      greet(socket);
    });
    await new Promise<void>((listening) => server?.listen(0, "127.0.0.1", listening));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `smtp://127.0.0.1:${address.port}`;
  }

  /** As fast as it is read. */
  const endlessly = (text: string) => (socket: Socket) => {
    const fill = (): void => {
      while (!socket.destroyed && socket.write(text));
    };
    socket.on("drain", fill);
    fill();
  };

  test.each([
    ["one line without end", endlessly("2".repeat(65_536))],
    ["an answer of ever more lines", endlessly("220-welcome\r\n".repeat(5_000))],
    [
      "a byte at a time",
      (socket: Socket) => {
        const timer = setInterval(() => socket.write("2"), 50);
        socket.once("close", () => clearInterval(timer));
      },
    ],
  ])("%s: the mail counts as not taken, and is tried again [R5]", async (_title, greet) => {
    const mail = createMail({
      url: await listen(greet),
      from: "CaaS <no-reply@caas.example>",
      totalTimeoutMs: 1_500,
    });
    const begunAt = performance.now();
    const outcome = await mail.send({
      to: "ana@customer.example",
      subject: "Hello",
      text: "Hello",
      html: "<p>Hello</p>",
      id: "1",
    });
    expect(outcome.kind).toBe("unavailable");
    expect(performance.now() - begunAt).toBeLessThan(boundMs);
    mail.close();
  });
});
