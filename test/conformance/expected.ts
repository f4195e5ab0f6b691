/**
 * What the suite may find although nothing is wrong, by scenario. An entry that is no longer so fails
 * the test. None of these scenarios counts for the revision, but for the one that says so.
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
  // a session that has ended is opened again where a target lost it
  'server-session-lifecycle': ['server-session-terminated-returns-404'],
  // counts, and is not failed but left out: the merged list is JSON, so there is no stream to look at
  'server-sse-multiple-streams': ['server-sse-streams-functional'],
  // there is no GET, and so no resumption
  'server-sse-polling': ['server-sse-disconnect-resume'],
}
