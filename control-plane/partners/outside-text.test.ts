import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { registered, startTestSales, type TestSales } from "../testing/fixtures/sales.ts";
import { gatewaySecret } from "../testing/test-platform.ts";
import { createPaymentGateway } from "./payment-gateway.ts";
import { storableJson } from "./storable-answers.ts";

// What partners write is stored, whatever it is: their messages are never stopped by it.

let platform: TestSales;
const half = "🚗".charAt(0);

beforeAll(async () => {
  platform = await startTestSales({ name: "partners_text", standIns: ["carrier", "inbox"] });
});
afterAll(() => platform?.close());

describe("a carrier that writes a NUL and half of an emoji", () => {
  test("in its answer and in its message still brings the car home [F18]", async () => {
    const carrier = platform.standIn("carrier");
    const car = await platform.writeSale(registered);
    await carrier.control("PUT", "/_control/faults", { garbleTextNext: { count: 1 } });
    await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/transport`, { date: "2026-03-05" });
    await platform.runJobs();
    const transport = await platform.db
      .selectFrom("transports")
      .selectAll()
      .where("expediente_id", "=", car.expedienteId)
      .executeTakeFirstOrThrow();
    expect([transport.status, transport.driver]).toEqual([
      "scheduled",
      expect.stringMatching(/\w \S+\uFFFD\uFFFD$/),
    ]);

    for (const [step, more] of [
      ["started", {}],
      ["arrived", {}],
      ["contacted", { receivedBy: `Ana \u0000 Ruiz ${half}` }],
    ] as const)
      await carrier.control("POST", `/_control/transports/${transport.carrier_transport_id}/steps`, {
        step,
        ...more,
      });
    await platform.untilState(car.vehicleId, "Delivered");
    const { delivery } = await platform.db
      .selectFrom("expedientes")
      .where("id", "=", car.expedienteId)
      .select("delivery")
      .executeTakeFirstOrThrow();
    expect(JSON.stringify(delivery)).toContain("Ana \uFFFD Ruiz \uFFFD");
  });
});

test.each(["null", "7", "[]", '"x"', '{"id":7}', "no JSON"])(
  "the gateway's correctly signed %s is answered and breaks nothing [R8]",
  async (body) => {
    const at = Math.floor(Date.now() / 1_000);
    const signature = createHmac("sha256", gatewaySecret).update(`${at}.${body}`).digest("hex");
    const reply = await platform.server.inject({
      method: "POST",
      url: "/webhooks/payments",
      headers: {
        "content-type": "application/json",
        "stripe-signature": `t=${at},v1=${signature}`,
        "x-request-id": randomUUID(),
      },
      payload: body,
    });
    expect(reply.json()).toEqual({ received: true, duplicate: expect.any(Boolean) });
    const rows = await platform.db
      .selectFrom("received_webhooks")
      .select("type")
      .where("source", "=", "paymentGateway")
      .where("body", "=", body)
      .execute();
    expect(rows).toEqual([{ type: "unreadable" }]);
    expect(await platform.runJobs()).toBe(0);
  },
);

test("a gateway that declines with a NUL and half of an emoji has declined [F18]", async () => {
  const server = createServer((_request, response) => {
    const error = {
      type: "card_error",
      code: "card_declined",
      decline_code: `do_not\u0000honor ${half}`,
      message: "no",
    };
    response.writeHead(402, { "content-type": "application/json" }).end(JSON.stringify({ error }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const gateway = createPaymentGateway({ baseUrl: `http://127.0.0.1:${port}`, apiKey: "key" });
  const paid = await gateway.pay({
    reference: randomUUID(),
    amountCents: 100,
    currency: "EUR",
    paymentMethod: "pm_card_visa",
    mode: "hold",
    description: "test",
    metadata: {},
  });
  expect(paid).toEqual({ status: "declined", gatewayPaymentId: null, reason: "do_not\uFFFDhonor \uFFFD" });
  server.close();
});

test("only an answer that holds such text is written anew, and what is no JSON stays as it is [F18]", () => {
  expect(storableJson('{"a": 1.0}')).toBe('{"a": 1.0}');
  expect(storableJson("<html>\\u0000")).toBe("<html>\\u0000");
  expect(JSON.parse(storableJson('"\\ud83d\\ude97"'))).toBe("🚗");
  expect(JSON.parse(storableJson('{"a":"\\ud83d"}'))).toEqual({ a: "\uFFFD" });
});
