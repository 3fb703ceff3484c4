#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";

// `caas-simulate`: cars against a platform that others run. `npm run simulate` can also start one of its own.

process.exit(await runCommandLine(process.argv, { name: "caas-simulate", provideWorld: null }));
