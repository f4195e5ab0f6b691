/**
 * What the suite may find although nothing is wrong, by scenario. An entry that is no longer so fails
 * the test. The revisions score none of the scenarios that fail.
 */
type Checks = Readonly<Record<string, readonly string[]>>

/** Checks that fail because the servers here have no `io.modelcontextprotocol/tasks`, an extension. */
export const WITHOUT_TASKS: Checks = {
  'tasks-capability-negotiation': [
    'sep-2663-server-rejects-undeclared-client',
    'sep-2663-tasks-methods-non-declaring',
    'tasks-extension-advertised',
    'tasks-per-request-meta-opt-in',
  ],
  'tasks-dispatch-and-envelope': [
    'sep-2663-durable-create-strong-consistency',
    'sep-2663-legacy-task-param-ignored',
    'sep-2663-tasks-get-invalid-task-id-32602',
    'tasks-immediate-result-shortcut',
    'tasks-result-type-complete-on-non-task-responses',
    'tasks-server-directed-creation-no-hint',
  ],
  'tasks-lifecycle': [
    'sep-2663-cancel-ack-empty-result',
    'sep-2663-result-type-task-on-create',
    'sep-2663-tasks-get-status-completed',
    'sep-2663-tasks-get-status-failed',
    'sep-2663-tasks-get-status-working',
    'sep-2663-tool-error-uses-completed-status',
    'tasks-cancel-terminal-idempotent-ack',
    'tasks-sync-tool-call',
  ],
  'tasks-mrtr-composition': ['sep-2663-mrtr-synchronous-before-task-creation'],
  'tasks-mrtr-input': [
    'sep-2663-tasks-get-status-input-required',
    'tasks-mrtr-partial-fulfillment',
    'tasks-mrtr-tasks-update-resumes',
  ],
  'tasks-request-headers': [
    'sep-2663-routing-headers-accepted-on-tasks-get',
    'sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get',
    'tasks-headers-tolerate-mcp-method-on-tools-call',
  ],
  'tasks-request-state-removal': ['tasks-request-state-removal-setup'],
  'tasks-required-task-error': ['sep-2663-server-returns-missing-capability-when-required'],
  'tasks-wire-fields': [
    'tasks-no-early-ttl-expiry',
    'tasks-no-related-task-meta-on-inlined-result',
    'tasks-wire-field-renames',
  ],
}

/** Checks that pass at one server, but not through `serve` with three in 2025-11-25. */
export const THREE_TARGETS: Checks = {
  // the merged list is JSON, so that there is no stream to look at
  'server-sse-multiple-streams': ['server-sse-streams-functional'],
}

/** Checks of ways to sign in that the bridge has not, or not without a configuration of their own. */
export const OTHER_SIGN_INS: Checks = {
  // a client's own grant takes a configured credential, not just a client
  'auth/client-credentials-basic': [
    'client-credentials-basic-auth',
    'client-credentials-grant-type',
  ],
  'auth/client-credentials-jwt': ['client-credentials-jwt-verified'],
  'auth/enterprise-managed-authorization': [
    'complete-flow-jwt-bearer',
    'complete-flow-token-exchange',
  ],
  'auth/wif-jwt-bearer': ['wif-grant-type'],
}
