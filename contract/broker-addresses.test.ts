import { expect, test } from "vitest";
import { brokerAddressesSchema, createBrokerRound, listBrokerAddresses } from "./broker-addresses.ts";

test.each(["mqtt://127.0.0.1:1883", "mqtts://a.example:8883, mqtts://b.example:8883"])(
  "%s is taken",
  (text) => {
    expect(brokerAddressesSchema.safeParse(text).success).toBe(true);
  },
);

test.each(["", "http://a.example", "mqtt://a.example,", "mqtt://a.example,mqtts://b.example"])(
  "%s is refused",
  (text) => {
    expect(brokerAddressesSchema.safeParse(text).success).toBe(false);
  },
);

test("a client that fails at one address tries the next, and the first again after the last", () => {
  const round = createBrokerRound("mqtt://a,mqtt://b,mqtt://c", "somebody");
  const tried = Array.from({ length: 4 }, () => {
    const address = round.current();
    round.failed();
    return address;
  });
  expect(new Set(tried.slice(0, 3)).size).toBe(3);
  expect(tried[3]).toBe(tried[0]);
});

test("a fleet spreads over all addresses", () => {
  const text = "mqtt://a,mqtt://b";
  const first = listBrokerAddresses(text)[0];
  const cars = Array.from({ length: 1_000 }, (_, index) => `1HGCM82633A${String(index).padStart(6, "0")}`);
  const atFirst = cars.filter((vin) => createBrokerRound(text, vin).current() === first).length;
  expect(atFirst).toBeGreaterThan(400);
  expect(atFirst).toBeLessThan(600);
});
