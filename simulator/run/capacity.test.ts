import { expect, test } from "vitest";
import { explainBrokerRoom, planProcesses, readCapacity } from "./capacity.ts";

const machine = { openFiles: { now: 20_000, most: 20_000 }, ports: 28_232 };
const asked = { vehicles: 50_000, asked: "auto", cores: 2, isLoopback: true } as const;

test("cars are split over processes by what one may open, and over the cores", () => {
  expect(planProcesses(asked, machine)).toEqual({ kind: "possible", processes: 3 });
  expect(planProcesses({ ...asked, vehicles: 10_000 }, machine)).toEqual({ kind: "possible", processes: 2 });
  expect(planProcesses({ ...asked, vehicles: 50 }, machine)).toEqual({ kind: "possible", processes: 1 });
  expect(planProcesses({ ...asked, asked: 7 }, machine)).toEqual({ kind: "possible", processes: 7 });
});

test("too few descriptors are said beforehand, with the command that raises them", () => {
  expect(planProcesses({ ...asked, asked: 2 }, machine)).toMatchObject({
    kind: "impossible",
    why: expect.stringMatching(/25,000 cars a process need 25100 open files.*--processes 3.*limits\.conf/),
  });
  const liftable = { ...machine, openFiles: { now: 1_024, most: 524_288 } };
  expect(planProcesses({ ...asked, vehicles: 2_000, asked: 1 }, liftable)).toMatchObject({
    kind: "impossible",
    why: expect.stringContaining("ulimit -n 2100"),
  });
  expect(explainBrokerRoom(19_900, 1, machine)).toBeNull();
  expect(explainBrokerRoom(20_000, 1, machine)).toContain("take --brokers 2, or raise it");
  expect(explainBrokerRoom(30_000, 2, machine)).toBeNull();
  expect(explainBrokerRoom(60_000, 2, machine)).toContain("take --brokers 4");
});

test("ports run out only towards a broker elsewhere: on loopback there are addresses enough", () => {
  const away = { ...asked, vehicles: 30_000, isLoopback: false };
  expect(planProcesses(away, machine)).toMatchObject({
    kind: "impossible",
    why: expect.stringContaining("ip_local_port_range"),
  });
  expect(planProcesses({ ...away, isLoopback: true }, machine).kind).toBe("possible");
});

test("this machine's own limits can be read, or are known to be unknown", () => {
  const { openFiles, ports } = readCapacity();
  if (process.platform === "linux") {
    expect(openFiles?.now).toBeGreaterThan(0);
    expect(ports).toBeGreaterThan(1_000);
  } else expect([openFiles, ports]).toEqual([null, null]);
});
