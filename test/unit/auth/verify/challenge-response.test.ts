import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  challengeFor,
  challengeHeader,
  scopesIfShort,
  scopesOfChallenge,
} from '../../../../src/auth/verify/challenge-response.js'
import {
  resourceMetadata,
  resourceMetadataUrl,
  scopesToAsk,
} from '../../../../src/auth/verify/resource-metadata.js'
import { TOKEN_ERROR_STATUS, TokenError } from '../../../../src/auth/verify/token-error.js'

const URL_OF_METADATA = 'https://proxy.example.com/.well-known/oauth-protected-resource/mcp'

const context = { resourceMetadata: URL_OF_METADATA, scopes: ['mcp:use', 'tools:read'] }

describe('challengeFor', () => {
  it('[rfc6750-3.1] [mcp-authz-r2] [mcp-authz-r4] names no error when no token was sent', () => {
    expect(challengeFor(new TokenError('missing', 'No access token was sent'), context)).toBe(
      `Bearer resource_metadata="${URL_OF_METADATA}", scope="mcp:use tools:read"`,
    )
  })

  it('says what is wrong with a token that was sent', () => {
    expect(challengeFor(new TokenError('expired', 'The access token has expired'), context)).toBe(
      `Bearer error="invalid_token", error_description="The access token has expired", resource_metadata="${URL_OF_METADATA}", scope="mcp:use tools:read"`,
    )
  })

  it('[mcp-authz-r6] asks for the scopes that the operation needs', () => {
    const error = new TokenError('insufficient_scope', 'delete_file needs files:write', {
      scopes: ['files:write'],
    })
    expect(challengeFor(error, context)).toBe(
      `Bearer error="insufficient_scope", error_description="delete_file needs files:write", resource_metadata="${URL_OF_METADATA}", scope="files:write"`,
    )
  })

  it('challenges nobody when the fault is ours', () => {
    expect(challengeFor(new TokenError('keys_unavailable', 'No keys'), context)).toBeUndefined()
  })

  it.each(Object.entries(TOKEN_ERROR_STATUS))(
    'has a challenge for %s unless it is 503',
    (...row) => {
      const [reason, status] = row
      const error = new TokenError(reason as keyof typeof TOKEN_ERROR_STATUS, 'A sentence')
      expect(error.status).toBe(status)
      expect(challengeFor(error, context) === undefined).toBe(status === 503)
    },
  )
})

describe('challengeHeader', () => {
  it('leaves out what is empty', () => {
    expect(challengeHeader({ resourceMetadata: URL_OF_METADATA, scopes: [] })).toBe(
      `Bearer resource_metadata="${URL_OF_METADATA}"`,
    )
  })

  it('leaves out scopes that are none', () => {
    const scopes = ['ok', 'with space', 'quo"te', 'back\\slash', 'new\nline', 'ü', '', 'a:b/c']
    expect(challengeHeader({ resourceMetadata: URL_OF_METADATA, scopes })).toContain(
      ', scope="ok a:b/c"',
    )
  })

  it('[rfc6750-3] keeps any text within its quotes', () => {
    const allowed =
      /^Bearer [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*"(, [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*")*$/
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.constant('", error="x\r\n'),
    )
    fc.assert(
      fc.property(text, text, fc.array(text), (description, resourceMetadata, scopes) => {
        const header = challengeHeader({
          error: 'invalid_token',
          description,
          resourceMetadata,
          scopes,
        })
        expect(header).toMatch(allowed)
        const outside = header.split('"').filter((_piece, index) => index % 2 === 0)
        expect(outside.join('')).toMatch(
          /^Bearer error=(, error_description=)?, resource_metadata=(, scope=)?$/,
        )
        expect(() => new Headers({ 'www-authenticate': header })).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })
})

describe('resource metadata', () => {
  it('[rfc9728-3.3] names the resource byte for byte', () => {
    const resource = 'https://Proxy.example.com:443/mcp/'
    const issuer = 'https://api.descope.com/v1/apps/agentic/P/M'
    expect(resourceMetadata({ resource, issuer, scopes: ['mcp:use'], name: 'Proxy' })).toEqual({
      resource,
      authorization_servers: [issuer],
      scopes_supported: ['mcp:use'],
      bearer_methods_supported: ['header'],
      resource_name: 'Proxy',
    })
    expect(Object.keys(resourceMetadata({ resource, issuer }))).toEqual([
      'resource',
      'authorization_servers',
      'bearer_methods_supported',
    ])
  })

  it.each([
    {
      resource: 'https://p.example/mcp',
      path: 'https://p.example/.well-known/oauth-protected-resource/mcp',
    },
    {
      resource: 'https://p.example/a/mcp/',
      path: 'https://p.example/.well-known/oauth-protected-resource/a/mcp/',
    },
    {
      resource: 'https://p.example',
      path: 'https://p.example/.well-known/oauth-protected-resource',
    },
    {
      resource: 'http://localhost:8000/',
      path: 'http://localhost:8000/.well-known/oauth-protected-resource',
    },
    {
      resource: 'https://p.example/mcp?x=1',
      path: 'https://p.example/.well-known/oauth-protected-resource/mcp?x=1',
    },
  ])('[rfc9728-3.1] of $resource is at $path', ({ resource, path }) => {
    expect(resourceMetadataUrl(resource)).toBe(path)
  })

  it.each([
    { required: ['a'], supported: ['b'], scopes: ['a'] },
    { required: [], supported: ['b', 'offline_access'], scopes: ['b'] },
    { required: ['offline_access'], supported: ['b'], scopes: [] },
    { required: ['a'], supported: ['b', 'c'], policy: ['c', 'unknown'], scopes: ['a', 'c'] },
    { required: [], supported: [], policy: ['c', 'c'], scopes: ['c'] },
    { required: [], supported: ['b'], policy: ['unknown'], scopes: ['b'] },
  ])(
    '[mcp-authz-r12] asks for $scopes of $required, $supported and the policy $policy',
    ({ required, supported, scopes, policy }) => {
      expect(scopesToAsk(required, supported, policy)).toEqual(scopes)
    },
  )

  it('leaves out what the client has where a challenge would get too long', () => {
    const granted = Array.from({ length: 200 }, (_, index) => `granted:${index}`)
    expect(scopesOfChallenge([['a'], ['b', 'a']], ['c', 'offline_access'])).toEqual(['a', 'b', 'c'])
    expect(scopesOfChallenge([['a'], ['b']], granted)).toEqual(['a', 'b'])
    expect(scopesIfShort(granted)).toEqual([])
    expect(scopesIfShort(['a'])).toEqual(['a'])
  })
})
