import { describe, expect, it } from 'vitest'
import { headerNames, seenCredentials } from '../../../../src/demo/target/tools.js'

describe('seenCredentials', () => {
  it('tells a JWT from an opaque token and keeps the values out', () => {
    const headers = {
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln',
      'x-api-key': 'k-123456',
      accept: 'application/json',
      'mcp-session-id': 'abc',
    }
    expect(seenCredentials(headers)).toEqual([
      { header: 'authorization', scheme: 'bearer', format: 'jwt' },
      { header: 'x-api-key', format: 'opaque' },
    ])
    expect(headerNames(headers)).toEqual(['accept', 'authorization', 'mcp-session-id', 'x-api-key'])
  })

  it('shows no part of an Authorization header that has no scheme', () => {
    expect(JSON.stringify(seenCredentials({ authorization: 'naked-secret' }))).not.toContain(
      'naked',
    )
  })
})
