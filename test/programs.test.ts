import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requiredKeys } from "../control-plane/config.ts";
import { requiredNames } from "../simulator/stand-ins/config.ts";
import { root } from "./house/source-files.ts";

// What a newcomer types first: a program without anything, its help, and an option that it does not have.

const programs: { program: string; without: string[] }[] = [
  { program: "control-plane/main.ts", without: requiredKeys.map((name) => `  ${name} must be set`) },
  { program: "control-plane/admin.ts", without: ["caas-admin: the commands are create-staff"] },
  { program: "control-plane/keys.ts", without: ["caas-keys: KEYS_DIR must be set"] },
  {
    program: "broker/main.ts",
    without: [
      "  BROKER_CAR_SECRET is needed with BROKER_TCP_PORT",
      "  BROKER_CONTROL_PLANE_PASSWORD is needed with BROKER_TCP_PORT",
    ],
  },
  { program: "simulator/stand-ins/main.ts", without: requiredNames.map((name) => `  ${name} must be set`) },
  { program: "vehicle-agent/main.ts", without: ["caas-agent: say `enrol` or `run`"] },
  { program: "start/demo-cars.ts", without: ["demo cars: DEMO_CARS_FOLDER must be set"] },
];
const commands = ["start", "bench", "chaos", "simulate", "simulator"].map((name) => `${name}/main.ts`);

type Ended = { code: number; stdout: string; stderr: string };

/** With nothing of our own environment but the path. */
function run(program: string, ...args: string[]): Promise<Ended> {
  const options = { env: { PATH: process.env.PATH ?? "" }, encoding: "utf8", cwd: root } as const;
  return new Promise((resolve) =>
    execFile(process.execPath, [join(root, program), ...args], options, (error, stdout, stderr) =>
      resolve({
        code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1,
        stdout,
        stderr,
      }),
    ),
  );
}

const lines = (text: string): string[] => text.trimEnd().split("\n");

test.each(programs)("$program without its variables says one line for each [N15]", async (row) => {
  const { code, stdout, stderr } = await run(row.program);
  expect([1, 2]).toContain(code);
  expect(stdout).toBe("");
  // Nothing else: no stack, no word of the parser.
  const said = lines(stderr).filter((line) => !line.endsWith(":"));
  expect(said).toEqual(row.without.map((start) => expect.stringContaining(start)));
});

test.each([
  ...programs.map(({ program }) => program).filter((one) => !one.includes("demo-cars")),
  ...commands,
])("%s --help explains it, and ends well [N15]", async (program) => {
  const { code, stdout, stderr } = await run(program, "--help");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("--help");
});

test("one variable that is wrong is one line, and no other is blamed [N15]", async () => {
  const { stderr } = await run(
    "control-plane/admin.ts",
    "create-staff",
    "--name",
    "A",
    "--email",
    "a",
    "--role",
    "king",
  );
  expect(lines(stderr)).toEqual([
    "caas-admin: --email must be an e-mail address, as lucia@customer.example",
    "  --role must be admin or support or sales (see --help)",
  ]);
});

test.each([
  ...commands,
  ...["control-plane/main.ts", "control-plane/admin.ts", "control-plane/keys.ts", "broker/main.ts"],
  ...["simulator/stand-ins/main.ts", "vehicle-agent/main.ts"],
])("a wrong option of %s: the error comes last, and names --help [N16]", async (program) => {
  const { code, stderr } = await run(program, "--colour", "red");
  expect(code).toBeGreaterThan(0);
  const said = lines(stderr);
  expect(said.length).toBeLessThanOrEqual(3);
  expect(said.slice(-2).join(" ")).toMatch(/'--colour'.*see .*--help/is);
});
