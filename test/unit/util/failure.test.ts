import { describe, expect, it } from 'vitest'
import {
  classifyFailure,
  type FailureCause,
  type FailureVerdict,
  isRetrySafe,
  isServerAway,
  isTransient,
  mayGrantLater,
  mayMeanOtherPath,
  mayPass,
  mayRefuseProtocol,
  mayRepeat,
  type OAuthRefusalKind,
  streamMayPass,
} from '../../../src/util/failure.js'

type Row = [FailureVerdict, FailureCause, ...(number | undefined)[]]

const TABLE: Row[] = [
  // nothing came back, or no whole answer
  ['transient', 'unreachable', undefined],
  ['transient', 'timeout', undefined],
  ['transient', 'cut_off', undefined, 200],
  // no time: waited too long (408), may be a replay (425), too many (429)
  ['transient', 'http_status', 408, 425, 429],
  // a gateway that does not reach the server, and whatever else is not the server's own error
  ['transient', 'http_status', 502, 503, 504, 507, 520, 522, 599],
  ['broken', 'http_status', 500, 501],
  ['credential', 'http_status', 401, 403, 407],
  ['credential', 'refused_credential', 401, 403, 407, undefined],
  ['credential', 'sign_in_required', undefined],
  ['session', 'session_lost', 400, 404, undefined],
  ['session', 'session_required', 400],
  ['final', 'http_status', 400, 402, 404, 405, 406, 409, 410, 413, 414, 415, 421, 422, 431, 451],
  // a redirect, which is not followed, and a request that cannot be sent at all
  ['final', 'http_status', 301, 307, undefined],
  ['final', 'invalid_answer', 200, 202, 404, undefined],
  // an answer that breaks off behind its head says as much as its head
  ['final', 'cut_off', 404],
  ['transient', 'cut_off', 503],
]

const CASES = TABLE.flatMap(([verdict, cause, ...statuses]) =>
  statuses.map((httpStatus) => ({ verdict, cause, httpStatus })),
)

const byStatus = (decide: (status: number) => boolean) =>
  Array.from({ length: 500 }, (_, index) => index + 100).filter(decide)

describe('classifyFailure', () => {
  it.each(CASES)('says $verdict of $cause with HTTP $httpStatus', ({ verdict, ...failure }) => {
    expect(classifyFailure(failure)).toBe(verdict)
  })

  it.each(CASES)(
    'is what the other decisions on $cause with HTTP $httpStatus are made of',
    (row) => {
      const { verdict, ...failure } = row
      const passes = verdict === 'transient' || verdict === 'broken'
      expect(mayPass(failure)).toBe(passes)
      expect(streamMayPass(failure)).toBe(passes || failure.httpStatus === 409)
      if (failure.cause !== 'http_status' || failure.httpStatus === undefined) return
      expect(isTransient(failure.httpStatus)).toBe(passes)
      const isOfProtocol = failure.httpStatus >= 400 && verdict === 'final'
      expect(mayRefuseProtocol(failure.httpStatus)).toBe(isOfProtocol && failure.httpStatus !== 413)
    },
  )
})

/** Who asks, about what, and whether the request may be sent again. */
const AGAIN: [string, boolean, boolean][] = [
  ...(
    [
      ['unreachable', undefined, true],
      ['timeout', undefined, true],
      ['session_lost', 404, true],
      ['sign_in_required', undefined, true],
      ['http_status', 408, true],
      ['http_status', 425, true],
      ['http_status', 429, true],
      ['http_status', 502, true],
      ['http_status', 503, true],
      ['http_status', 500, false],
      ['http_status', 501, false],
      ['http_status', 404, false],
      ['http_status', 413, false],
      ['refused_credential', 401, false],
      ['invalid_answer', 200, false],
      // it may have run
      ['cut_off', undefined, false],
      ['cut_off', 503, false],
      ['session_required', 400, false],
    ] as [FailureCause, number | undefined, boolean][]
  ).map(([cause, httpStatus, again]): [string, boolean, boolean] => [
    `a client whose request failed with ${cause} and HTTP ${httpStatus}`,
    mayRepeat({ cause, httpStatus }),
    again,
  ]),
  ...(
    [
      ['tools/list', true],
      ['resources/read', true],
      ['prompts/get', true],
      ['ping', true],
      ['initialize', true],
      ['server/discover', true],
      ['tools/call', false],
      ['logging/setLevel', false],
      ['notifications/cancelled', false],
    ] as [string, boolean][]
  ).map(([method, again]): [string, boolean, boolean] => [
    `the bridge whose ${method} met a dead connection`,
    isRetrySafe({ method: 'POST', body: JSON.stringify({ method }) }),
    again,
  ]),
  ['the bridge that sent what it cannot read', isRetrySafe({ method: 'POST', body: 'x' }), false],
  ['the bridge that opened a stream', isRetrySafe({ method: 'GET' }), true],
  ...(
    [
      ['transient', true],
      ['poll', true],
      ['grant', false],
      ['client', false],
      ['refused', false],
    ] as [OAuthRefusalKind, boolean][]
  ).map(([kind, again]): [string, boolean, boolean] => [
    `a sign-in that the authorization server refused as ${kind}`,
    mayGrantLater(kind),
    again,
  ]),
]

describe('a request that failed', () => {
  it.each(AGAIN)('[bridge-lost-session] of %s may be sent again: %j', (_who, decided, again) => {
    expect(decided).toBe(again)
  })
})

describe('the statuses', () => {
  it('that say that a server may come later', () => {
    const later = byStatus(isTransient)
    expect(later.slice(0, 4)).toEqual([408, 425, 429, 500])
    expect(later.slice(3)).toEqual(byStatus((status) => status >= 500))
  })

  it('of a gateway that does not reach its server', () => {
    expect(byStatus(isServerAway)).toEqual([502, 503, 504])
  })

  it('that may mean that MCP is at another path', () => {
    expect(byStatus(mayMeanOtherPath)).toEqual([400, 404, 405, 410, 501])
  })
})
