import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../store/ids.ts";
import type { Answer } from "../testing/fixtures/people.ts";
import { paid } from "../testing/fixtures/sales.ts";
import { type ServicePayments, startServicePayments } from "../testing/fixtures/service-payments.ts";

// What people write about their work is judged as a customer's name is, on every route that takes some.

const priceCents = 1_900;

let platform: ServicePayments;
beforeAll(async () => {
  platform = await startServicePayments("lines_of_text", priceCents);
});
afterAll(() => platform?.close());

/** A route with such a text, on something that it can be said about once. */
type Said = {
  field: string;
  /** Something new to speak about. */
  prepare(): Promise<(text: string) => Promise<Answer>>;
  /** What was kept of it. */
  kept(answer: Answer): Promise<string | undefined>;
};

async function prepareTask() {
  const { vehicleId } = await platform.writeSale(paid);
  const id = newId();
  const task = { id, kind: "transportRefused", team: "support", title: "Ask the carrier" } as const;
  await platform.db
    .insertInto("tasks")
    .values({ ...task, vehicle_id: vehicleId, created_at: platform.clock.now() })
    .execute();
  return (resolution: string) => platform.staff.admin.post(`/api/tasks/${id}/resolution`, { resolution });
}

async function prepareRefund() {
  const activationId = await platform.request();
  await platform.runJobs();
  await platform.publish("serviceCaptureRequested", { activationId });
  await platform.runJobs();
  const { id } = await platform.paymentOf(activationId);
  return (reason: string) =>
    platform.staff.support.post(`/api/payments/${id}/refunds`, { amountCents: 100, reason });
}

const routes: Said[] = [
  {
    field: "payer",
    async prepare() {
      const { expedienteId } = await platform.sell();
      const url = `/api/expedientes/${expedienteId}/reservation-payment`;
      return (payer) => platform.staff.sales.post(url, { method: "transfer", amountCents: 50_000, payer });
    },
    kept: async (answer) => answer.text("payer"),
  },
  {
    field: "resolution",
    prepare: prepareTask,
    async kept(answer) {
      const tasks = platform.db.selectFrom("tasks").where("id", "=", answer.text("id"));
      return (await tasks.select("resolution").executeTakeFirst())?.resolution ?? undefined;
    },
  },
  {
    field: "reason of a refund",
    prepare: prepareRefund,
    async kept(answer) {
      const refunds = platform.db.selectFrom("refunds").where("id", "=", answer.text("id"));
      return (await refunds.select("reason").executeTakeFirst())?.reason;
    },
  },
  ...["revocation", "enrolment-packages"].map((command) => ({
    field: `reason of ${command}`,
    async prepare() {
      const { vehicleId, vin } = await platform.writeSale(paid);
      const now = platform.clock.now();
      await platform.db
        .insertInto("enrolment_tokens")
        .values({
          vehicle_id: vehicleId,
          vin,
          token_hash: vehicleId,
          expires_at: new Date(now.getTime() + dayMs),
        })
        .execute();
      return (reason: string) =>
        platform.staff.admin.post(`/api/vehicles/${vehicleId}/${command}`, { reason });
    },
    kept: async (answer: Answer) => answer.text("reason"),
  })),
];

describe.each(routes)("the $field", ({ field, prepare, kept }) => {
  test.each([
    ["blanks", "     "],
    ["zero-width spaces", "\u200B\u200B\u200B\u200B"],
    ["line breaks", "\r\n\r\n\r\n"],
    ["marks of direction", "\u202E\u2066\u2069\u202A"],
    ["filling characters", "\u3164\u3164\u3164"],
    ["control characters", "\u0007\u0007\u0007"],
  ])("is refused where it is only %s, and is taken afterwards in words [R14]", async (_what, text) => {
    const say = await prepare();
    expect(await say(text)).toMatchObject({
      status: 400,
      body: { code: "badRequest", errors: [{ field: `body.${field.split(" ")[0]}` }] },
    });
    expect((await say("Leasing Ibérica S.A.")).status).toBeLessThan(300);
  });

  test("is kept on one line, without what turns the writing around it [R14]", async () => {
    const say = await prepare();
    const answer = await say(" \u202ELeasing\u2066 Ibé\u200Brica\r\nBcc:\tall\u0007@x.example\u2069 ");
    expect(await kept(answer)).toBe("Leasing Ibérica Bcc: all @x.example");
  });

  test("of another script keeps the joiner in its words [R14]", async () => {
    const say = await prepare();
    expect(await kept(await say("بانک نمی\u200Cخواهد"))).toBe("بانک نمی\u200Cخواهد");
  });
});

test.each(["o\u200Bk", " ok ", "a\u202Eb"])(
  "the reason %j is shorter than three characters [R14]",
  async (reason) => {
    const say = await prepareRefund();
    expect(await say(reason)).toMatchObject({ status: 400, body: { errors: [{ field: "body.reason" }] } });
  },
);

test("a name is found by what was copied together with a character that is not seen [R14]", async () => {
  const sale = await platform.writeSale({ ...paid, customerName: "Ximena Quiroga" });
  const find = async (text: string) =>
    (await platform.staff.sales.get(`/api/expedientes?search=${encodeURIComponent(text)}`)).body;
  const found = { expedientes: [{ id: sale.expedienteId }] };
  expect(await find("\u202AXimena\u00A0Quiroga\u200B")).toMatchObject(found);
  expect(await find("\u200B")).toMatchObject({ status: 400 });
  expect(await find("@")).toMatchObject({ expedientes: expect.any(Array) });
});
