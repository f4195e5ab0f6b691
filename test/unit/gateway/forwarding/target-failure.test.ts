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

  it('does not call a failure retryable after which the request may have run', () => {
    const { data } = failureError({ cause: 'cut_off', target: 'docs', reason: 'x' })
    expect(data).toEqual({ target: 'docs', cause: 'cut_off' })
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
