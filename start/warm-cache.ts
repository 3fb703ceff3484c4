import { flushCompileCache } from "node:module";

// Loads what the parts consist of and does nothing with it, so that its compiled form is kept: run once by the first
// start of all, alone, with NODE_COMPILE_CACHE. Otherwise each part would load the compiler and keep it until it ends.

await Promise.all([
  import("@caas/broker/main.ts"),
  import("@caas/simulator/stand-ins/main.ts"),
  import("@caas/control-plane/main.ts"),
  import("@caas/vehicle-agent/main.ts"),
  import("@caas/vehicle-agent/program.ts"),
  import("./demo-cars.ts"),
  import("./end-with-supervisor.ts"),
]);
flushCompileCache();
// Whatever a module holds open by being loaded keeps nobody waiting.
process.exit(0);
