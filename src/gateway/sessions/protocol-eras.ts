import { mirrorHeaders } from '../../mcp/headers.js'
import { ERROR_CODES, ownId } from '../../mcp/jsonrpc.js'
import { OWN_SENDER, offersStateless, withEnvelope } from '../../mcp/meta.js'
import { STATELESS_VERSION } from '../../mcp/versions.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { classifyFailure, mayRefuseProtocol } from '../../util/failure.js'
import { isObject, stringsMember, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { isInPlace } from '../connecting/in-place.js'
import { sendAndWait, type TargetAnswer } from '../forwarding/collect-answer.js'
import { upstreamHeaders } from '../forwarding/upstream-send.js'
import { accessKey, type Request } from '../request.js'
import type { Target } from '../target.js'
import type { Declared } from './capabilities.js'

/** What a target speaks: 2026-07-28, perhaps besides older versions, or older versions only. */
export type Era = 'stateless' | 'session-based'

/** How long a target's era is believed. Then the target is probed again, and the old era is believed until it answers. */
const FRESH_MS = 60_000

/** How long to wait before a target that could not be probed is probed again. */
const RETRY_MS = 5_000

const MAX_PROBES = 1_000

const METHOD = 'server/discover'

const PROBE_ID = ownId()

const PROBE_BODY = JSON.stringify({
  jsonrpc: '2.0',
  id: PROBE_ID,
  method: METHOD,
  params: withEnvelope({}, OWN_SENDER),
})

/** What one caller's probe of one target found. */
interface Probe {
  running: Promise<Era | undefined> | undefined
  /** The last probe had no answer: requests no longer wait for the next one. */
  failed: boolean
  retryAt: number
}

interface EraDeps {
  readonly clock: Clock
  /** Milliseconds. */
  readonly timeouts: { readonly list: number }
  readonly declared: Declared
}

/**
 * Knows which era each target speaks. A target is probed with `server/discover` when its era is first
 * needed, with the caller's credential, and by one probe per caller at a time; requests wait for the
 * first probe only. The last known era counts until the target says otherwise.
 *
 * @see [MCP 2026-07-28, versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)
 */
export function createEras({ clock, timeouts, declared }: EraDeps) {
  const verdicts = new Map<Target, { era: Era; checkAt: number }>()
  const probes = new BoundedMap<string, Probe>(MAX_PROBES)

  function learn(target: Target, era: Era | undefined): void {
    if (era !== undefined) verdicts.set(target, { era, checkAt: clock.now() + FRESH_MS })
  }

  function eraOf(target: Target, request: Request): Era | undefined | Promise<Era | undefined> {
    const verdict = verdicts.get(target)
    const now = clock.now()
    if (verdict !== undefined && now < verdict.checkAt) return verdict.era
    // keyed per caller: one caller's 401 must not block probes by others
    const key = accessKey(request, target)
    const probe = probes.get(key) ?? addProbe(key)
    if (probe.running === undefined && now >= probe.retryAt) {
      probe.running = probeTarget(target, request, probe)
    }
    return verdict?.era ?? (probe.failed ? undefined : probe.running)
  }

  function addProbe(key: string): Probe {
    const probe = { running: undefined, failed: false, retryAt: 0 }
    probes.set(key, probe)
    return probe
  }

  async function probeTarget(
    target: Target,
    request: Request,
    probe: Probe,
  ): Promise<Era | undefined> {
    const { exchange } = request
    const session = { id: undefined, version: STATELESS_VERSION }
    const answer = await sendAndWait(clock, request, target, {
      headers: [...upstreamHeaders(clock, exchange, session), ...mirrorHeaders(METHOD, undefined)],
      body: PROBE_BODY,
      id: PROBE_ID,
      session,
      deadlineMs: timeouts.list,
    })
    const era = readEra(answer)
    if (isInPlace(answer.head)) {
      // the target itself was not probed, and can be as soon as the caller is connected
      probe.running = undefined
      return undefined
    }
    learn(target, era)
    const message = answer.ok && era === 'stateless' ? tryParseJson(answer.text) : undefined
    const result = isObject(message) ? message['result'] : undefined
    if (isObject(result)) declared.learn(request, target, result)
    probe.running = undefined
    probe.failed = era === undefined
    probe.retryAt = clock.now() + (probe.failed ? RETRY_MS : 0)
    return era
  }

  return {
    learn,

    /** The target's last known era. */
    known: (target: Target): Era | undefined => verdicts.get(target)?.era,

    /** The target's era, if it was learned a short time ago. */
    current(target: Target): Era | undefined {
      const verdict = verdicts.get(target)
      return verdict !== undefined && clock.now() < verdict.checkAt ? verdict.era : undefined
    },

    /** Has a target probed again when its era is needed next. */
    suspect(target: Target): void {
      const verdict = verdicts.get(target)
      if (verdict !== undefined) verdict.checkAt = 0
    },

    /**
     * Tells whether these targets serve requests of the stateless era: while none of them is known
     * to be session-based. A target that cannot be probed does not count.
     */
    serveStateless(targets: readonly Target[], request: Request): boolean | Promise<boolean> {
      const eras = targets.map((target) => eraOf(target, request))
      if (eras.includes('session-based')) return false
      if (eras.every((era) => !(era instanceof Promise))) return true
      return Promise.all(eras).then((all) => !all.includes('session-based'))
    },
  }
}

/**
 * Reads the era from a target's answer to `server/discover`. Session-based servers do not know the
 * method, and answer it in many ways: whatever a stateless server would not answer is theirs.
 *
 * @returns `undefined` when there was no answer of the server itself.
 */
export function readEra(answer: TargetAnswer): Era | undefined {
  if (!answer.ok) {
    const { cause, httpStatus = 0 } = answer.failure
    if (cause === 'invalid_answer' || cause === 'session_required') return 'session-based'
    if (cause !== 'http_status') return undefined
    // some older servers fail at a method that they do not know
    const isAnswer = mayRefuseProtocol(httpStatus) || classifyFailure(answer.failure) === 'broken'
    return isAnswer ? 'session-based' : undefined
  }
  if (isInPlace(answer.head)) return undefined
  const message = tryParseJson(answer.text)
  if (!isObject(message)) return 'session-based'
  const { result, error } = message
  if (isObject(result)) return offersStateless(result) ? 'stateless' : 'session-based'
  const { code, data } = isObject(error) ? error : {}
  // a server that fails, or a proxy that does not reach its server
  if (code === ERROR_CODES.internalError) return undefined
  if (code === ERROR_CODES.missingClientCapability) return 'stateless'
  const versions = isObject(data) ? stringsMember(data, 'supported') : []
  const isStateless =
    code === ERROR_CODES.unsupportedProtocolVersion && versions.includes(STATELESS_VERSION)
  return isStateless ? 'stateless' : 'session-based'
}
