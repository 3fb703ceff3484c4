import { enableCompileCache } from "node:module";
import { compileCacheFolder } from "./node-settings.ts";

// Before anything large is loaded, hence the import below and not above.
enableCompileCache(process.env.NODE_COMPILE_CACHE || compileCacheFolder);
const { runCommandLine } = await import("./command-line.ts");
const code = await runCommandLine(process.argv);
// Idle connections of the REST client must not keep us; everything of ours is closed.
process.exit(code);
