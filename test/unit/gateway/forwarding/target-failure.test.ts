import { describe, expect, it } from 'vitest'
import { SignInRequiredError } from '../../../../src/auth/tokens/token-store.js'
import {
  credentialFailure,
  failureError,
} from '../../../../src/gateway/forwarding/target-failure.js'
import { ProxyError } from '../../../../src/util/errors.js'
import type { FailureCause } from '../../../../src/util/failure.js'

describe('failureError', () => {
  it('[mcp-target-down-in-band] names the target, the cause and what may help', () => {
    const failure = {
      cause: 'http_status',
      target: 'docs',
      reason: 'it answered HTTP 429',
      httpStatus: 429,
      retryAfter: '7',
      answer: { status: 429, body: Buffer.from('secret') },
    } as const
    expect(failureError(failure)).toEqual({
      code: -32603,
      message: 'Target "docs": it answered HTTP 429',
      data: {
        target: 'docs',
        cause: 'http_status',
        httpStatus: 429,
        retryAfter: '7',
        retryable: true,
      },
    })
  })

  it.each<[FailureCause, number | undefined, boolean]>([
    ['unreachable', undefined, true],
    ['timeout', undefined, true],
    ['session_lost', 404, true],
    ['sign_in_required', undefined, true],
    ['http_status', 503, true],
    ['http_status', 502, true],
    ['http_status', 500, false],
    ['http_status', 404, false],
    ['refused_credential', 401, false],
    ['invalid_answer', 200, false],
    ['cut_off', undefined, false],
    ['session_required', 400, false],
  ])('says of %s with HTTP %s whether to try again: %s', (cause, httpStatus, retryable) => {
    const status = httpStatus === undefined ? {} : { httpStatus }
    const { data } = failureError({ cause, target: 'docs', reason: 'x', ...status })
    expect(data).toMatchObject({ target: 'docs', ...status })
    expect(data?.['retryable'] ?? false).toBe(retryable)
  })

  it.each<[FailureCause, FailureCause]>([
    ['timeout', 'timeout'],
    ['session_lost', 'http_status'],
    ['session_required', 'http_status'],
  ])('tells clients of %s as %s: sessions of targets are not their business', (cause, told) => {
    expect(failureError({ cause, target: 'docs', reason: 'x' }).data).toMatchObject({ cause: told })
  })
})

describe('credentialFailure', () => {
  const need = { refused: 'old' }
  it.each<[unknown, FailureCause, string]>([
    [
      new SignInRequiredError('docs', need),
      'sign_in_required',
      'somebody has to sign in to docs first',
    ],
    [new ProxyError('ISSUER_UNREACHABLE', 'no answer'), 'unreachable', 'no answer'],
    [new ProxyError('CREDENTIAL_REFUSED', 'no tenant'), 'refused_credential', 'no tenant'],
    [new Error('broken'), 'refused_credential', 'no credential: broken'],
  ])('makes %s the cause %s', (error, cause, reason) => {
    const failure = credentialFailure('docs', error)
    expect(failure).toMatchObject({ cause, target: 'docs', reason })
    expect(failure.need).toBe(cause === 'sign_in_required' ? need : undefined)
  })
})
