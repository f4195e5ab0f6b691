import { requestReply } from '../auth/fetch-json.js'
import { isObject, stringMember, tryParseJson } from '../util/json.js'
import type { Io, Runtime } from '../util/runtime.js'
import { piecesForPipe, type Sink } from './sink.js'

/** What stdout is here. */
export type AuditOutput = Pick<Io, 'out' | 'outDelivered'>

/** Writes records to stdout, no faster than they are read. */
export function createStdoutSink({ out, outDelivered }: AuditOutput): Sink {
  return {
    name: 'stdout',
    where: 'stdout',
    async write(lines) {
      const pieces = piecesForPipe(lines)
      let done = 0
      for (const piece of pieces) {
        out(piece.join(''))
        if ((await outDelivered?.()) === false) return { reason: 'EPIPE', left: lines.slice(done) }
        done += piece.length
      }
      return undefined
    },
    close: () => undefined,
  }
}

export interface DescopeSinkOptions {
  /** Origin of Descope's API. */
  base: string
  projectId: string
  managementKey: string
}

/** Events under way at once; Descope takes them one by one. */
const AT_ONCE = 8

const TIMEOUT_MS = 10_000

const MAX_WAIT_S = 300

/**
 * Sends records to the audit of the project in Descope.
 *
 * @see [Descope: Create Audit Event](https://docs.descope.com/api/management/audit/create-audit-event)
 */
export function createDescopeSink(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  { base, projectId, managementKey }: DescopeSinkOptions,
): Sink {
  const headers = {
    authorization: `Bearer ${projectId}:${managementKey}`,
    'content-type': 'application/json',
  }

  async function send(line: string): Promise<Sent> {
    try {
      const init = { method: 'POST', headers, body: JSON.stringify(eventOf(line)) }
      const limits = { timeoutMs: TIMEOUT_MS }
      const reply = await requestReply(runtime, `${base}/v1/mgmt/audit/event`, init, limits)
      const { status } = reply
      if (status < 300) return 'taken'
      const wait = Number(reply.headers.get('retry-after')) || 0
      const afterMs = wait > 0 ? Math.min(wait, MAX_WAIT_S) * 1000 : undefined
      // whatever is wrong with this one, trying again would not help
      return { reason: `HTTP ${status}`, afterMs, isRefused: status === 400 || status === 413 }
    } catch {
      return { reason: 'no answer', afterMs: undefined, isRefused: false }
    }
  }

  return {
    name: 'descope',
    where: 'Descope',
    async write(lines) {
      const left: string[] = []
      let refused = 0
      let problem: Exclude<Sent, 'taken'> | undefined
      let at = 0
      const work = async () => {
        // after a failure, the rest waits
        while (at < lines.length && (problem === undefined || problem.isRefused)) {
          const line = lines[at++] as string
          const sent = await send(line)
          if (sent === 'taken') continue
          problem = problem === undefined || problem.isRefused ? sent : problem
          if (sent.isRefused) refused++
          else left.push(line)
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, work))
      if (problem === undefined) return undefined
      const { reason, afterMs } = problem
      return { reason, afterMs, refused, left: [...left, ...lines.slice(at)] }
    },
    close: () => undefined,
  }
}

type Sent = 'taken' | { reason: string; afterMs: number | undefined; isRefused: boolean }

/** Makes Descope's event of a record. Its hash means nothing there, where members are written anew. */
function eventOf(line: string): object {
  const parsed = tryParseJson(line)
  const { prev: _prev, hash: _hash, mac: _mac, ...data } = isObject(parsed) ? parsed : {}
  const text = (member: string) => stringMember(data, member)
  const subject = text('subject')
  const method = text('method')
  return {
    action: method === undefined ? `mcp-proxy.${text('event')}` : `mcp.${method}`,
    userId: text('user') ?? subject ?? '',
    actorId: text('client') ?? subject ?? 'anonymous',
    tenantId: text('tenant') ?? '',
    type: typeOf(text('outcome'), text('event')),
    data,
  }
}

function typeOf(outcome: string | undefined, event: string | undefined): 'info' | 'warn' | 'error' {
  if (outcome === 'target_failure') return 'error'
  return outcome === 'refused' || event === 'gap' ? 'warn' : 'info'
}
