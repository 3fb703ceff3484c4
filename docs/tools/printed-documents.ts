import { renderOpenApi } from "@caas/control-plane/openapi.ts";
import { renderBoard } from "@caas/dashboards/board.ts";
import { renderRunbook } from "@caas/dashboards/print-runbook.ts";
import { renderRuleFile, shippedRules } from "@caas/dashboards/rules-file.ts";
import { renderClient } from "./print-client.ts";
import { renderErrors } from "./print-errors.ts";
import { renderFieldReports } from "./print-field-reports.ts";
import { renderArchitecture } from "./print-import-table.ts";
import { renderRules } from "./print-rules.ts";

/** A committed document that is printed from code. `path` is relative to the repository's root. */
export type PrintedDocument = { path: string; render: () => string | Promise<string> };

/** Every printed document; `npm run docs` writes them and printed-documents.test.ts fails when one is stale. */
export const printedDocuments: readonly PrintedDocument[] = [
  { path: "ARCHITECTURE.md", render: renderArchitecture },
  { path: "docs/rules.md", render: renderRules },
  { path: "docs/errors.md", render: renderErrors },
  { path: "docs/field-reports.md", render: renderFieldReports },
  { path: "docs/openapi.json", render: renderOpenApi },
  { path: "contract/client/generated.ts", render: renderClient },
  { path: "dashboards/prometheus/caas.rules.yml", render: () => renderRuleFile(shippedRules) },
  { path: "dashboards/grafana/activations-and-fleet.json", render: renderBoard },
  { path: "dashboards/alerts.md", render: renderRunbook },
];
