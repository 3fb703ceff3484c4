import { runCommand } from "./run-command.ts";

await runCommand(() => import("./command-line.ts"));
