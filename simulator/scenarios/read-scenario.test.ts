import { describe, expect, test } from "vitest";
import { BadScenario, listScenarios, parseScenario, readScenario } from "./read-scenario.ts";
import { actionNames } from "./scenario.ts";

describe("a scenario's file", () => {
  test.each(listScenarios())("%s, which comes with the simulator, is one", (name) => {
    const { scenario } = readScenario(name);
    expect(scenario.steps.length).toBeGreaterThan(0);
    expect(scenario.assertions.length).toBeGreaterThan(0);
  });

  test("together they show every kind of step", () => {
    const steps = listScenarios().flatMap((name) => readScenario(name).scenario.steps);
    expect(actionNames.filter((name) => !steps.some((step) => step[name] !== undefined))).toEqual([]);
  });

  test("durations have units, and what is left out has its default", () => {
    const scenario = parseScenario(
      "describes: x\nramp: 1.5m\nsteps:\n  - at: 250ms\n    bulkChange: { over: 30 }\n",
      "x.yaml",
    );
    expect(scenario).toMatchObject({ vehicles: 200, profile: "normal", ramp: 90_000 });
    expect(scenario.steps).toMatchObject([{ at: 250, bulkChange: { share: 1, over: 30_000, retries: 4 } }]);
  });

  test("JSON is read as well", () => {
    expect(parseScenario('{"describes": "x", "steps": [{"wake": {"over": "2s"}}]}', "x.json").steps).toEqual([
      { at: 0, wake: { share: 1, over: 2_000 } },
    ]);
  });

  test.each([
    ["steps:\n  - bulkChange: { share: 2 }", "x.yaml:3: steps.0.bulkChange.share: "],
    [
      "steps:\n  - bulkChange: {}\n  - purchases: { perSecond: 1 }",
      "x.yaml:4: steps.1.purchases.for: is missing",
    ],
    ["steps: []\nvehicels: 3", "x.yaml:3: vehicels: is no field of a scenario"],
    ["steps: []\nramp: soon", "x.yaml:3: ramp: must be a duration"],
    ["steps: []\nprofile: nobody", "x.yaml:3: profile: is none of commuter"],
    ["steps:\n  - at: 1s\n  - wake: {}\n    sleep: {}", "x.yaml:3: steps.0: a step does exactly one thing"],
    ["steps:\n  - wake: {}\n    sleep: {}", "x.yaml:3: steps.0: a step does exactly one thing"],
    ["steps: []\nassertions:\n  - { measure: luck, atLeast: 1 }", "x.yaml:4: assertions.0.measure: "],
    [
      "steps: []\nassertions:\n  - { measure: drops }",
      "x.yaml:4: assertions.0: says either atLeast or atMost",
    ],
    ["duration: 10s\nsteps:\n  - at: 10s\n    wake: {}", "x.yaml:4: steps.0.at: is not before the end"],
    ["steps: [}", "x.yaml:2: syntax: "],
    [
      "steps: []\nprofile: { describes: mine, mix: [{ kind: commuter, share: 0.5 }] }",
      "x.yaml:3: profile.mix: the shares must add up to 1",
    ],
  ])("a mistake is named by line and field: %s", (text, message) => {
    const read = () => parseScenario(`describes: x\n${text}\n`, "x.yaml");
    expect(read).toThrow(BadScenario);
    expect(read).toThrow(message);
  });

  test("a file that is not there is answered with those that are", () => {
    expect(() => readScenario("nowhere.yaml")).toThrow("ordinary-day");
  });
});
