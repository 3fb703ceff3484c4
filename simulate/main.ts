import { runCommand } from "../start/run-command.ts";

await runCommand(() => import("./command-line.ts"));
