import { describe, expect, it } from 'vitest'
import { OAuthRefusedError, RetryableError } from '../../../src/auth/oauth/failure.js'
import { nextPace } from '../../../src/sign-in/device-flow.js'
import type { OAuthRefusalKind } from '../../../src/util/failure.js'

describe('nextPace', () => {
  const start = { interval: 5, margin: 1.2 }
  const refused = (code: string, kind: OAuthRefusalKind) =>
    new OAuthRefusedError('x', {
      code,
      kind,
      description: undefined,
      status: 400,
      retryAfter: null,
    })

  it('polls with a margin, and slower when asked to', () => {
    expect(nextPace(start, refused('authorization_pending', 'poll'))).toEqual(start)
    expect(nextPace(start, refused('slow_down', 'poll'))).toEqual({ interval: 10, margin: 1.4 })
    expect(nextPace(start, new RetryableError('x'))).toEqual({ interval: 10, margin: 1.2 })
    expect(nextPace(start, refused('HTTP 503', 'transient'))).toEqual({ interval: 10, margin: 1.2 })
  })

  it.each([
    ['access_denied', 'refused', 'declined'],
    ['invalid_client', 'client', 'invalid_client'],
  ] as const)('stops with %s', (code, kind, message) => {
    expect(() => nextPace(start, refused(code, kind))).toThrow(message)
  })
})
