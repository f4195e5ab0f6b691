import { describe, expect, it } from 'vitest'
import {
  type OAuthRefusal,
  OAuthRefusedError,
  pauseRequestedBy,
  RetryableError,
  readRefusal,
} from '../../../../src/auth/oauth/failure.js'

describe('readRefusal', () => {
  const read = (status: number, body: unknown, headers = {}) =>
    readRefusal(
      status,
      new Headers(headers),
      typeof body === 'string' ? body : JSON.stringify(body),
    )

  it.each([
    [400, { error: 'invalid_grant' }, 'grant'],
    [404, { errorCode: 'E063302', errorMessage: 'Cannot find consent by id' }, 'grant'],
    [401, { error: 'invalid_client' }, 'client'],
    [401, { errorCode: 'E074130', errorMessage: 'Invalid client id' }, 'client'],
    [400, { errorCode: 'E074130', errorMessage: 'Invalid scope' }, 'refused'],
    [400, { error: 'invalid_scope' }, 'refused'],
    [400, { error: 'temporarily_unavailable' }, 'transient'],
    [400, { error: 'slow_down' }, 'poll'],
    [429, { errorCode: 'E130429' }, 'transient'],
    [429, '', 'transient'],
    [500, { error: 'what' }, 'transient'],
    [503, '<html>busy</html>', 'transient'],
    [403, '<html>portal</html>', 'transient'],
    [200, { error: 'authorization_pending' }, 'poll'],
  ])('[bridge-refresh-trouble] takes status %i with %j for %s', (status, body, kind) => {
    expect(read(status, body)?.kind).toBe(kind)
  })

  it('is no refusal when there is no error', () => {
    expect(read(200, { access_token: 'x' })).toBeUndefined()
    expect(read(201, '')).toBeUndefined()
  })

  it.each([
    ['7', 7_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['999999999', 3_600_000],
    ['soon', 0],
  ])('says how long the server wants to be left alone: %s', (value, ms) => {
    const now = Date.UTC(2026, 0, 1)
    const refusal = read(429, '', { 'retry-after': value }) as OAuthRefusal
    expect(pauseRequestedBy(new OAuthRefusedError('Asking', refusal), now)).toBe(ms)
    expect(pauseRequestedBy(new RetryableError('busy', { retryAfter: value }), now)).toBe(ms)
    expect(pauseRequestedBy(new Error('broken'), now)).toBe(0)
  })
})
