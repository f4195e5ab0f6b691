import { describe, expect, it } from 'vitest'
import {
  codedError,
  describeNetworkError,
  networkHint,
  UpstreamError,
} from '../../../src/upstream/upstream-error.js'

describe('describeNetworkError', () => {
  it.each([
    [
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'its TLS certificate chain is incomplete or unknown',
      '--ca',
    ],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'its TLS certificate comes from an unknown authority', '--ca'],
    [
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'its TLS certificate comes from an unknown authority',
      '--ca',
    ],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its TLS certificate is self-signed', '--ca'],
    ['CERT_HAS_EXPIRED', 'its TLS certificate has expired', '`date`'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'its TLS certificate is for another host name', '`openssl'],
    ['ECONNREFUSED', 'the connection was refused', '`curl'],
    ['ENOTFOUND', 'its host name does not exist', '`nslookup'],
    ['EAI_AGAIN', 'its host name could not be looked up', '`nslookup'],
    ['ETIMEDOUT', 'the connection timed out', '`curl'],
    ['EPROTO', 'it does not speak TLS as expected', '`curl'],
    [
      'ERR_PROXY_AUTH',
      'the HTTP proxy wants a user name and a password, answering 407',
      'HTTPS_PROXY=',
    ],
  ])(
    '[bridge-network-causes] says of %s one sentence and one command',
    (code, sentence, command) => {
      const { reason, cause } = describeNetworkError(codedError(code))
      expect({ reason, cause }).toEqual({ reason: `${sentence} (${code})`, cause: 'unreachable' })
      const hint = networkHint(reason)
      expect(hint).toContain(command)
      expect(hint?.match(/`[^`]+`/g)).toHaveLength(1)
    },
  )

  it('finds the code in a cause and among several errors', () => {
    const inner = new AggregateError([codedError('ECONNREFUSED'), codedError('ENETUNREACH')])
    expect(describeNetworkError(new Error('x', { cause: inner })).reason).toContain('ECONNREFUSED')
  })

  it.each(['ERR_INVALID_CHAR', 'UND_ERR_INVALID_ARG'])(
    'says of %s that nothing was sent, and which header was at fault',
    (code) => {
      const error = Object.assign(new TypeError('invalid x-a header'), { code })
      const failure = describeNetworkError(error)
      expect(failure).toEqual({
        cause: 'http_status',
        reason: `the request to it cannot be sent: invalid x-a header (${code})`,
      })
      expect(networkHint(failure.reason)).toContain('line breaks')
    },
  )

  it('takes an error at its word that says itself what it is', () => {
    const error = new UpstreamError('timeout', 'it is late')
    expect(describeNetworkError(error)).toEqual({ cause: 'timeout', reason: 'it is late' })
    expect(networkHint('it is late')).toBeUndefined()
    expect(networkHint('the connection was lost (ECONNRESET)')).toBeUndefined()
  })
})
