import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TargetCredential } from '../../../../src/auth/credentials/credential.js'
import type { TargetAnswer } from '../../../../src/gateway/forwarding/collect-answer.js'
import type { Request } from '../../../../src/gateway/request.js'
import { createDeclared } from '../../../../src/gateway/sessions/capabilities.js'
import { createEras, readEra } from '../../../../src/gateway/sessions/protocol-eras.js'
import { createTarget, type Target } from '../../../../src/gateway/target.js'
import { ProxyError } from '../../../../src/util/errors.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { eventually } from '../../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../../helpers/targets/recording.js'
import { openUpstream } from '../../../helpers/upstream.js'
import { OPEN_TOOLS, principal } from '../support.js'

let modern: ModernRecordingTarget

let legacy: RecordingTarget

beforeAll(async () => {
  modern = await startModernRecordingTarget()
  legacy = await startRecordingTarget()
})

afterAll(async () => {
  await modern.close()
  await legacy.close()
})

const targets: Target[] = []

afterEach(async () => {
  modern.clear()
  legacy.clear()
  for (const { upstream } of targets.splice(0)) await upstream.close()
})

const FREE: TargetCredential = { headers: () => ({}), refused: () => false }

/** Creates what is tested for targets at these URLs. */
function erasOf(urls: readonly string[], credential = FREE) {
  const clock = createManualClock()
  for (const url of urls) {
    const config = { name: `t${targets.length}`, prefix: '', tools: OPEN_TOOLS }
    targets.push(createTarget(config, credential, openUpstream(new URL(url))))
  }
  const timeouts = { list: 3_000, answer: 300_000 }
  return { clock, eras: createEras({ clock, timeouts, declared: createDeclared() }) }
}

const requestOf = (subject = 'alice') =>
  ({
    exchange: {
      caller: { principal: principal({ subject }), accessToken: undefined },
      header: () => undefined,
    },
  }) as unknown as Request

const asked = (target: ModernRecordingTarget | RecordingTarget) =>
  target.of('server/discover').length

describe('what targets speak', () => {
  it('is asked once by all who come at once, and then known', async () => {
    const { eras } = erasOf([modern.url])
    const answers = [
      eras.serveStateless(targets, requestOf()),
      eras.serveStateless(targets, requestOf('bob')),
    ]
    expect(await Promise.all(answers)).toEqual([true, true])
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    expect(asked(modern)).toBe(1)
    expect(modern.violations).toEqual([])
  })

  it('is asked again after a minute, and nobody waits for that', async () => {
    const { eras, clock } = erasOf([modern.url])
    await eras.serveStateless(targets, requestOf())
    await clock.advance(59_999)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    expect(asked(modern)).toBe(1)
    await clock.advance(1)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    await eventually(() => expect(asked(modern)).toBe(2))
  })

  it('is asked again when a target is suspected, and may have changed', async () => {
    const { eras } = erasOf([modern.url])
    await eras.serveStateless(targets, requestOf())
    const [target] = targets as [Target]
    modern.on('server/discover', () => ({ supportedVersions: ['2027-01-01'], capabilities: {} }))
    eras.suspect(target)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    await eventually(() => expect(eras.serveStateless(targets, requestOf())).toBe(false))
    modern.on('server/discover', () => ({ supportedVersions: ['2026-07-28'], capabilities: {} }))
  })

  it('is legacy together when one of them is', async () => {
    const { eras } = erasOf([modern.url, legacy.url])
    expect(await eras.serveStateless(targets, requestOf())).toBe(false)
    expect(eras.serveStateless(targets, requestOf())).toBe(false)
    expect([asked(modern), asked(legacy)]).toEqual([1, 1])
  })

  it('is waited for once where a target cannot be had, and asked again after a pause', async () => {
    const { eras, clock } = erasOf([modern.url, 'http://127.0.0.1:9/mcp'])
    expect(await eras.serveStateless(targets, requestOf())).toBe(true)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
    await clock.advance(5_000)
    expect(eras.serveStateless(targets, requestOf())).toBe(true)
  })

  it('is not waited for longer than a list', async () => {
    const { eras, clock } = erasOf([modern.url])
    modern.on('server/discover', () => new Promise(() => undefined))
    const served = eras.serveStateless(targets, requestOf())
    await modern.until(({ rpc }) => rpc === 'server/discover')
    await clock.advance(3_000)
    expect(await served).toBe(true)
    expect(eras.known(targets[0] as Target)).toBeUndefined()
    modern.on('server/discover', () => ({ supportedVersions: ['2026-07-28'], capabilities: {} }))
  })

  it('is asked by each caller whose credential is its own, until one knows', async () => {
    const credential: TargetCredential = {
      perCaller: true,
      headers({ principal: caller }) {
        if (caller?.subject === 'mallory')
          throw new ProxyError('CREDENTIAL_REFUSED', 'not connected')
        return { authorization: `Bearer of-${caller?.subject}` }
      },
      refused: () => false,
    }
    const { eras } = erasOf([legacy.url], credential)
    expect(await eras.serveStateless(targets, requestOf('mallory'))).toBe(true)
    expect(await eras.serveStateless(targets, requestOf('alice'))).toBe(false)
    expect(eras.serveStateless(targets, requestOf('mallory'))).toBe(false)
    expect(legacy.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer of-alice'])
  })
})

describe('readEra', () => {
  const answered = (message: object): TargetAnswer => {
    const text = JSON.stringify({ jsonrpc: '2.0', id: 1, ...message })
    return { ok: true, status: 200, text, head: { sessionId: undefined } }
  }
  const failed = (cause: string, httpStatus?: number) =>
    ({ ok: false, failure: { cause, target: 't', reason: '', httpStatus } }) as TargetAnswer
  const error = (code: number, data?: object) => answered({ error: { code, message: '', data } })

  it.each([
    ['the version', 'stateless', answered({ result: { supportedVersions: ['2026-07-28'] } })],
    [
      'other versions',
      'session-based',
      answered({ result: { supportedVersions: ['2025-11-25'] } }),
    ],
    ['something else', 'session-based', answered({ result: [] })],
    ['unknown method', 'session-based', error(-32601)],
    ['unsupported version', 'session-based', error(-32000)],
    ['other versions in an error', 'session-based', error(-32022, { supported: ['2027-01-01'] })],
    ['the version in an error', 'stateless', error(-32022, { supported: ['2026-07-28'] })],
    ['a missing capability', 'stateless', error(-32021)],
    ['an error of its own', undefined, error(-32603)],
    ['no MCP', 'session-based', failed('invalid_answer')],
    ['that a session is missing', 'session-based', failed('session_required', 400)],
    ['404', 'session-based', failed('http_status', 404)],
    ['500', 'session-based', failed('http_status', 500)],
    ['503', undefined, failed('http_status', 503)],
    ['429', undefined, failed('http_status', 429)],
    ['a redirect', undefined, failed('http_status', 302)],
    ['nothing', undefined, failed('unreachable')],
    ['nothing in time', undefined, failed('timeout')],
    ['half an answer', undefined, failed('cut_off')],
    ['401', undefined, failed('refused_credential', 401)],
  ])('takes %s for %s', (_title, era, answer) => {
    expect(readEra(answer)).toBe(era)
  })
})
