import { flushCompileCache } from "node:module";

// Loads the parts' modules and does nothing with them, so that their compiled form is kept: run once by the first
// start, alone, with NODE_COMPILE_CACHE. Otherwise each part would load the compiler and keep it until it ends.

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
// Handles that a module opens when it is loaded must not keep this process alive.
process.exit(0);
