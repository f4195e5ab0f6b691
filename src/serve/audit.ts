import { type AuditOutput, createDescopeSink, createStdoutSink } from '../audit/other-sinks.js'
import { openTrail, type Trail } from '../audit/trail.js'
import type { CountRecords } from '../audit/writer.js'
import type { ProxyConfig } from '../config/types.js'
import { parseConfigUrl } from '../util/descope-url.js'
import type { Logger } from '../util/logger.js'
import type { Redact } from '../util/redact.js'
import type { Runtime, System } from '../util/runtime.js'
import { type AuditRecords, createAuditRecords } from './audit-records.js'

export interface AuditRuntime extends Pick<Runtime, 'clock' | 'fetch'> {
  readonly process?: Pick<System, 'pid' | 'parentPid'> | undefined
  /** Where `audit.stdout` goes. */
  readonly io?: AuditOutput
  /** Removes secrets from each text. */
  readonly redact?: Redact
}

export interface Audit extends AuditRecords {
  readonly trail: Pick<Trail, 'reopen' | 'close'>
}

/** Tells whether any audit records are written. */
function isAudited({ file, stdout, descope }: ProxyConfig['audit']): boolean {
  return file !== undefined || stdout || descope
}

/**
 * Tells whether SIGHUP means that files are to be opened anew, and not the end. On Windows it comes when
 * the console is closed, and the system ends the process soon after.
 */
export function reopensAudit(
  { platform }: Partial<Pick<Runtime, 'platform'>>,
  { audit }: Pick<ProxyConfig, 'audit'>,
): boolean {
  return isAudited(audit) && platform !== 'win32'
}

/**
 * Opens the audit trail as it is configured; `undefined` when it is off.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the file cannot be opened.
 */
export function openAudit(
  runtime: AuditRuntime,
  { audit, descope, server }: Pick<ProxyConfig, 'audit' | 'descope' | 'server'>,
  logger: Logger,
  count: CountRecords,
): Audit | undefined {
  if (!isAudited(audit)) return undefined
  const { clock, io, process, redact = (text) => text } = runtime
  const sinks = []
  if (audit.stdout && io !== undefined) sinks.push(createStdoutSink(io))
  const { configUrl, managementKey } = descope
  if (audit.descope && configUrl !== undefined && managementKey !== undefined) {
    const { base, projectId } = parseConfigUrl(configUrl)
    sinks.push(createDescopeSink(runtime, { base, projectId, managementKey }))
  }
  const trail = openTrail({
    ...{ file: audit.file, sinks, key: audit.key, clock, logger, count },
    process: { pid: process?.pid, parent: process?.parentPid, workers: server.workers },
    isDirect: server.vercel !== undefined,
  })
  const records = createAuditRecords({ trail, clock, redact, withArguments: audit.arguments })
  const close = (limitMs: number) => {
    records.end()
    return trail.close(limitMs)
  }
  return { ...records, trail: { reopen: trail.reopen, close } }
}
