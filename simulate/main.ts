import { enableCompileCache } from "node:module";
import { compileCacheFolder } from "../start/node-settings.ts";

// Before anything large is loaded, hence the import below and not above.
enableCompileCache(process.env.NODE_COMPILE_CACHE || compileCacheFolder);
const { runCommandLine } = await import("@caas/simulator/command-line.ts");
const { startSimulatedPlatform } = await import("./provide-platform.ts");
process.exit(
  await runCommandLine(process.argv, { name: "npm run simulate --", provideWorld: startSimulatedPlatform }),
);
